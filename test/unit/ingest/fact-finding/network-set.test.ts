/** Addresses and networks, against Node's own list of blocked addresses, and the networks that a list may not have. */
import { BlockList, isIPv6 } from 'node:net';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, it } from 'vitest';
import { atOnce } from '../../../../infra/slices.ts';
import { addressOf, isIpv4 } from '../../../../ingest/fact-finding/address.ts';
import { NetworkSet, networkIn } from '../../../../ingest/fact-finding/network-set.ts';

const addresses = fc.oneof(fc.ipV4(), fc.ipV6());

function setOf(...texts: readonly string[]): NetworkSet {
  const networks = texts.map(text => {
    const network = networkIn(text);
    if ('rule' in network) throw new Error(network.rule);
    return network;
  });
  return atOnce(NetworkSet.of(networks));
}

/** The library takes ::1.2.3.4 for ::ffff:1.2.3.4. */
function normal(text: string): string {
  return text.includes(':') ? new URL(`http://[${text}]`).hostname.slice(1, -1) : text;
}

describe('an address', () => {
  it('is read as a library reads it', () => {
    fc.assert(
      fc.property(addresses, text => {
        const address = addressOf(text);
        const words = isIpv4(address) ? [address] : address;
        const bytes = words.flatMap(word => [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255]);
        expect(bytes).toEqual(ipaddr.process(normal(text)).toByteArray());
      }),
      { numRuns: 5_000 },
    );
  });

  it.each([
    '::',
    '::1',
    '1::',
    '1:2:3:4:5:6:7::',
    '::2:3:4:5:6:7:8',
    'ABCD::ef',
    '64:ff9b::192.0.2.33',
    '::ffff:1.2.3.4',
  ])('%s is, too', text => {
    const address = addressOf(text);
    const bytes = ipaddr.process(text).toByteArray();
    const whole = BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
    const words: readonly number[] = isIpv4(address) ? [address] : address;
    expect(words.reduce((sum: bigint, word) => (sum << 32n) | BigInt(word), 0n)).toBe(whole);
  });
});

describe('a set of networks', () => {
  const networks = fc
    .record({
      text: fc.oneof(fc.ipV4(), fc.ipV6()),
      short: fc.integer({ min: 8, max: 32 }),
      long: fc.integer({ min: 16, max: 128 }),
    })
    .map(({ text, short, long }) => {
      const isSix = ipaddr.process(normal(text)).kind() === 'ipv6';
      const bits = isSix ? long : short;
      const plain = ipaddr.process(normal(text)).toString();
      const base = isSix
        ? ipaddr.IPv6.networkAddressFromCIDR(`${plain}/${bits}`)
        : ipaddr.IPv4.networkAddressFromCIDR(`${plain}/${bits}`);
      return `${base.toString()}/${bits}`;
    });

  it('has the addresses that a list of Node has, at its borders too', () => {
    fc.assert(
      fc.property(
        fc.array(networks, { minLength: 1, maxLength: 20 }),
        fc.array(addresses, { maxLength: 20 }),
        (texts, others) => {
          const set = setOf(...texts);
          const lists = { ipv4: new BlockList(), ipv6: new BlockList() };
          for (const text of texts) {
            const [base = '', bits] = text.split('/');
            const family = isIPv6(base) ? 'ipv6' : 'ipv4';
            lists[family].addSubnet(base, Number(bits), family);
          }
          const borders = texts.flatMap(text => {
            const [base = ''] = text.split('/');
            const last = isIPv6(base)
              ? ipaddr.IPv6.parse(base).toString()
              : ipaddr.IPv4.broadcastAddressFromCIDR(text).toString();
            return [base, last];
          });
          for (const each of [...borders, ...others]) {
            const plain = ipaddr.process(normal(each)).toString();
            const family = isIPv6(plain) ? 'ipv6' : 'ipv4';
            expect([each, set.has(addressOf(each))]).toEqual([each, lists[family].check(plain, family)]);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('counts each address once, however many networks it is in', () => {
    const set = setOf('192.0.2.0/24', '192.0.2.128/25', '192.0.3.0/24', '198.51.100.7', '2001:db8::/64', '2001:db8::1');
    expect(set.covered).toEqual({ ipv4: 513, ipv6: 1n << 64n });
    expect(setOf('0.0.0.0/8', '255.0.0.0/8').covered).toEqual({ ipv4: 2 ** 25, ipv6: 0n });
  });
});

it.each([
  ['10.0.0.1/24', /first address of its network of \/24/],
  ['2001:db8::1/64', /first address/],
  ['0.0.0.0/0', /8 to 32 bits/],
  ['10.0.0.0/2', /8 to 32 bits/],
  ['10.0.0.0/33', /8 to 32 bits/],
  ['2000::/3', /16 to 128 bits/],
  ['::ffff:10.0.0.0/104', /written as IPv4/],
  ['10.0.0.0/08', /must be an address or a network/],
  ['10.0.0.0/', /must be an address or a network/],
  ['10.1', /must be an address or a network/],
  ['0x0a.0.0.1', /must be an address or a network/],
  ['fe80::1%eth0', /must be an address or a network/],
  ['10.0.0.0-10.0.0.255', /must be an address or a network/],
])('%s is no network of a list', (text, rule) => {
  expect(networkIn(text)).toEqual({ rule: expect.stringMatching(rule) });
});
