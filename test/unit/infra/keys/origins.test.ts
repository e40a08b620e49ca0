import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isAllowedOrigin, isOriginPattern } from '../../../../infra/keys/origins.ts';

describe('an origin of a public key', () => {
  it.each([
    'https://shop.example',
    'http://localhost:3000',
    'https://shop.example:8443',
    'http://[::1]:8080',
    'https://xn--bcher-kva.example',
    'https://*.shop.example',
    'https://*.shop.example:8443',
  ])('may be %s', text => {
    expect(isOriginPattern(text)).toBe(true);
  });

  it.each([
    ['has a path', 'https://shop.example/'],
    ['has another path', 'https://shop.example/shoes'],
    ['has a usual port', 'https://shop.example:443'],
    ['has capitals', 'https://Shop.example'],
    ['has no scheme', 'shop.example'],
    ['has another scheme', 'ftp://shop.example'],
    ['has a user', 'https://me@shop.example'],
    ['has letters that browsers write otherwise', 'https://bücher.example'],
    ['is what browsers write for no origin', 'null'],
    ['is every origin', '*'],
    ['is every origin of a scheme', 'https://*'],
    ['is every origin below com', 'https://*.com'],
    ['has the star elsewhere', 'https://a*.shop.example'],
    ['has two stars', 'https://*.*.shop.example'],
    ['has a star before an address', 'https://*.192.0.2.1'],
    ['is not a URL', 'https://'],
    ['has a space', 'https://shop.example '],
    ['is empty', ''],
    ['is too long', `https://${'a.'.repeat(100)}example`],
  ])('is refused where it %s', (_what, text) => {
    expect(isOriginPattern(text)).toBe(false);
  });
});

describe('a request is of an allowed origin', () => {
  const allowed = ['https://shop.example', 'https://*.news.example'];

  it.each(['https://shop.example', 'https://a.news.example', 'https://a.b-c.news.example'])('with %s', origin => {
    expect(isAllowedOrigin(allowed, origin)).toBe(true);
  });

  it.each([
    'https://shop.example.evil.example',
    'https://shop.example:8443',
    'http://shop.example',
    'https://evilshop.example',
    'https://a.shop.example',
    'https://shop.exampl',
    'https://news.example',
    'https://evilnews.example',
    'https://.news.example',
    'https://a..news.example',
    'http://a.news.example',
    'https://a.news.example:8443',
    'https://evil.example/a.news.example',
    'https://evil.example#.news.example',
    'https://evil.example\\.news.example',
    'https://me@a.news.example',
    'https://a.news.example.',
    'HTTPS://SHOP.EXAMPLE',
    'null',
    '*',
    '',
  ])('not with %s', origin => {
    expect(isAllowedOrigin(allowed, origin)).toBe(false);
  });

  it('only if a browser would write it so, and its host is the name or below it, whatever is asked', () => {
    const host = fc.stringMatching(/^[a-z]{1,3}(\.[a-z]{1,3}){0,3}$/);
    fc.assert(
      fc.property(host, host, fc.boolean(), fc.string({ maxLength: 8 }), (name, pageHost, isBelow, more) => {
        const pattern = isBelow ? `https://*.${name}` : `https://${name}`;
        fc.pre(isOriginPattern(pattern));
        for (const origin of [`https://${pageHost}${more}`, `https://${more}.${name}`, `https://${name}${more}`]) {
          if (!isAllowedOrigin([pattern], origin)) continue;
          const { hostname, origin: written } = new URL(origin);
          expect(written).toBe(origin);
          expect(isBelow ? hostname.endsWith(`.${name}`) : hostname === name).toBe(true);
        }
      }),
    );
  });
});
