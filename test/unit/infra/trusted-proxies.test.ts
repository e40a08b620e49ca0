import { describe, expect, it } from 'vitest';
import { trustedProxies } from '../../../infra/trusted-proxies.ts';

const proxy = '10.0.0.9';
const client = (setting: string, forwardedFor: string | undefined, remoteAddress = proxy) =>
  trustedProxies('TRUST', setting).clientOf(remoteAddress, forwardedFor);

describe('X-Forwarded-For', () => {
  it.each([
    // Nobody is trusted.
    ['false', '198.51.100.1', proxy],
    ['0', '198.51.100.1', proxy],
    // So many proxies are in front: as many entries from the end, and what stands before them is the client's own.
    ['1', '198.51.100.1', '198.51.100.1'],
    ['1', '203.0.113.66, 198.51.100.1', '198.51.100.1'],
    ['2', '203.0.113.66, 198.51.100.1, 10.0.0.8', '198.51.100.1'],
    ['2', '198.51.100.1', '198.51.100.1'],
    ['1', undefined, proxy],
    // Those at these addresses.
    ['10.0.0.0/8', '203.0.113.66, 198.51.100.1', '198.51.100.1'],
    ['10.0.0.0/8', '203.0.113.66, 198.51.100.1, 10.3.2.1', '198.51.100.1'],
    ['10.0.0.9', '198.51.100.1, 10.0.0.8', '10.0.0.8'],
    ['2001:db8::/32, 10.0.0.9', '198.51.100.1, 2001:db8::5', '198.51.100.1'],
    ['192.0.2.0/24', '198.51.100.1', proxy],
    // As some write it.
    ['1', '198.51.100.1:4711', '198.51.100.1'],
    ['1', '[2001:db8::7]:4711', '2001:db8::7'],
    ['1', '::ffff:198.51.100.1', '198.51.100.1'],
    // What is no address says nothing, and hides nobody behind it.
    ['1', '198.51.100.1, unknown', proxy],
    ['10.0.0.0/8', '198.51.100.1, nonsense, 10.0.0.8', '10.0.0.8'],
    ['1', '', proxy],
    ['1', ', ,', proxy],
  ])('with %s and %s names %s', (setting, forwardedFor, expected) => {
    expect(client(setting, forwardedFor)).toBe(expected);
  });

  it('is believed of no one who is no proxy', () => {
    expect(client('10.0.0.0/8', '198.51.100.1', '203.0.113.66')).toBe('203.0.113.66');
    expect(client('10.0.0.0/8', '198.51.100.1', '::ffff:10.1.1.1')).toBe('198.51.100.1');
  });

  it('of any length is read from its end, a little', () => {
    const list = `${'10.0.0.1, '.repeat(1_500)}10.0.0.1`;
    expect(client('10.0.0.0/8', list)).toBe('10.0.0.1');
    expect(client('16', `203.0.113.66, ${Array(16).fill('198.51.100.1').join(', ')}`)).toBe('198.51.100.1');
  });
});

describe('the setting', () => {
  it.each([
    ['true', /would let every client choose/],
    ['17', /at most 16 proxies/],
    ['-1', /must be `false`, a number of proxies, or addresses or CIDRs/],
    ['10.0.0.0/33', /"10.0.0.0\/33" is not one of these/],
    ['10.0.0.0/8/9', /is not one of these/],
    ['loopback', /"loopback" is not one of these/],
    ['10.0.0.1,', /"" is not one of these/],
    ['', /"" is not one of these/],
  ])('refuses %s', (setting, message) => {
    expect(() => trustedProxies('INGEST_TRUST_PROXY', setting)).toThrow(message);
    expect(() => trustedProxies('INGEST_TRUST_PROXY', setting)).toThrow(/^INGEST_TRUST_PROXY="/);
  });
});
