import { describe, expect, it } from 'vitest';
import { networkOf, plainAddress } from '../../../infra/client-network.ts';

describe('the network of an address', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::ffff:c000:207', '192.0.2.7'],
    ['2001:db8:1:2::5', '2001:db8:1:2::/64'],
    ['2001:0db8:0001:0002:ffff:ffff:ffff:ffff', '2001:db8:1:2::/64'],
    ['2001:DB8:1:3::5', '2001:db8:1:3::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['64:ff9b::192.0.2.7', '64:ff9b:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['', ''],
    ['a:b', 'a:b'],
  ])('of %s is %s', (address, network) => {
    expect(networkOf(address)).toBe(network);
  });

  it('is that of a person: no address within a /64 is another, and none outside is the same', () => {
    const within = ['2001:db8:1:2::', '2001:db8:1:2:1::', '2001:db8:1:2:ffff:ffff:ffff:ffff'];
    expect(new Set(within.map(networkOf)).size).toBe(1);
    expect(networkOf('2001:db8:1:2::1')).not.toBe(networkOf('2001:db8:1:20::1'));
  });
});

it('takes IPv4 that came in as IPv6 for IPv4', () => {
  expect(['::ffff:127.0.0.1', '127.0.0.1', '::1'].map(plainAddress)).toEqual(['127.0.0.1', '127.0.0.1', '::1']);
});
