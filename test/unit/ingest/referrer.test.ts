/** The origin of a page, and that the short way gives what the platform gives. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { originOf } from '../../../ingest/referrer.ts';

it.each([
  ['https://page.example/a/b?q=secret#x', 'https://page.example'],
  ['https://user:password@page.example/', 'https://page.example'],
  ['HTTPS://Page.Example:443/', 'https://page.example'],
  ['http://page.example:8080', 'http://page.example:8080'],
  ['http://페이지.example/', 'http://xn--hu5b25b77n.example'],
  ['https://203.0.113.7/x', 'https://203.0.113.7'],
  [`https://page.example/${'x'.repeat(2_000)}`, 'https://page.example'],
  [`https://page.example/${'x'.repeat(2_048)}`, undefined],
  [`https://${'a.'.repeat(130)}example/`, undefined],
  ['android-app://com.example', undefined],
  ['about:blank', undefined],
  ['null', undefined],
  ['page.example', undefined],
  ['', undefined],
  [5, undefined],
])('of %s is %s', (address, origin) => {
  expect(originOf(address)).toBe(origin);
});

it('is what URL says, of any address', () => {
  const hosts = fc.stringMatching(/^[a-z0-9.-]{1,12}$/);
  const addresses = fc.oneof(
    fc.webUrl(),
    fc
      .tuple(fc.constantFrom('http://', 'https://'), hosts, fc.constantFrom('', '/', '?q', ':80', '@a.bc'))
      .map(parts => parts.join('')),
  );
  fc.assert(
    fc.property(addresses, address => {
      expect(originOf(address)).toBe(URL.canParse(address) ? new URL(address).origin : undefined);
    }),
    { numRuns: 500 },
  );
});
