/** What of a click link is taken, and that nothing of it can be altered. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { atOnce } from '../../../../infra/slices.ts';
import { checkLink, type LinkQuery } from '../../../../ingest/links/link-check.ts';
import { type LinkKeys, mostKeyFileBytes, readLinkKeys } from '../../../../ingest/links/link-keys.ts';
import { type LinkText, linkOf, secretOf } from '../../../../ingest/links/link-text.ts';

const now = Date.parse('2026-03-01T12:00:00Z');
const nowS = now / 1_000;
const secrets = { one: 'a'.repeat(43), two: 'b'.repeat(43) };
const shop = 'https://shop.example/shoes?size=42';
const keysOf = (keys: readonly object[], destinations: object = {}): LinkKeys =>
  atOnce(readLinkKeys(Buffer.from(JSON.stringify({ keys, destinations })), 'keys.json'));
const both = keysOf([
  { id: 'one', secret: secrets.one },
  // The same secret under another id: only the text can tell them apart.
  { id: 'same', secret: secrets.one },
  { id: 'two', secret: secrets.two },
]);

const plain: LinkText = {
  adId: 'ad-42',
  eventId: 'b3c1',
  madeAt: `${nowS - 60}`,
  expiresAt: `${nowS + 3_600}`,
  keyId: 'one',
  destination: shop,
};

/** Ad and query, as the server reads them. */
function made(given: Partial<LinkText> = {}, secret = secrets.one): { adId: string; query: LinkQuery } {
  const { pathname, searchParams } = new URL(linkOf(secretOf(secret), { ...plain, ...given }), 'http://ingest');
  return { adId: decodeURIComponent(pathname.slice(3)), query: Object.fromEntries(searchParams) };
}

function judged({ adId, query }: ReturnType<typeof made>, keys = both, at = now) {
  const verdict = checkLink(keys, adId, query, at);
  return verdict.ok ? verdict : verdict.reason;
}

describe('a click link', () => {
  it('is a click of the time when it was made, whenever it is loaded', () => {
    const click = {
      ok: true,
      keyId: 'one',
      adId: 'ad-42',
      eventId: 'b3c1',
      clickedAt: now - 60_000,
      destination: shop,
    };
    expect(judged(made())).toEqual(click);
    expect(judged(made(), both, now + 3_599_999)).toEqual(click);
  });

  it('is taken with what other programs add to it', () => {
    const { adId, query } = made();
    expect(judged({ adId, query: { ...query, utm_source: 'mail', fbclid: ['a', 'b'] } })).toMatchObject({ ok: true });
  });

  it('is broken by any change of any part, and so is one that is made of two', () => {
    const text = fc.stringMatching(/^[a-z0-9.:-]{1,8}$/).filter(id => id !== '.' && id !== '..');
    const seconds = (from: number, to: number) => fc.integer({ min: from, max: to }).map(String);
    const link = fc.record({
      adId: text,
      eventId: fc.oneof(text, fc.constantFrom('클릭', 'a b', 'a+b', 'a&s=x', '%41')),
      madeAt: seconds(nowS - 3_000, nowS),
      expiresAt: seconds(nowS + 1, nowS + 3_000),
      keyId: fc.constantFrom('one', 'same'),
      destination: fc.constantFrom(shop, 'http://shop.example/', 'https://other.example/a?b=c'),
    });
    const part = fc.constantFrom('adId', 'e', 't', 'x', 'd', 'k', 's');
    fc.assert(
      fc.property(link, link, part, fc.nat(), fc.constantFrom('a', 'Z', '0', '_', ''), (one, two, name, place, put) => {
        const [right, other] = [made(one), made(two)];
        const partsOf = ({ adId, query }: typeof right) => ({ adId, ...query }) as Record<string, string>;
        const value = partsOf(right)[name] ?? '';
        const at = place % value.length;
        const altered = value.slice(0, at) + put + value.slice(at + 1);
        expect(judged(right)).toMatchObject({ ok: true });
        for (const changed of [altered, partsOf(other)[name] ?? '', value + put]) {
          if (changed === value) continue;
          const { adId, ...query } = { ...partsOf(right), [name]: changed };
          expect(judged({ adId: adId ?? '', query }), `${name}: ${value} became ${changed}`).toBeTypeOf('string');
        }
      }),
    );
  });

  it('has one spelling of its signature: a last character with the same bits is another', () => {
    const { adId, query } = made();
    const s = query['s'] as string;
    const bytes = Buffer.from(s, 'base64url');
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const same = [...alphabet]
      .map(last => s.slice(0, -1) + last)
      .filter(text => Buffer.from(text, 'base64url').equals(bytes));
    expect(same).toHaveLength(4);
    expect(same.filter(text => judged({ adId, query: { ...query, s: text } }) !== 'wrong_signature')).toEqual([s]);
  });

  it.each(['e', 't', 'x', 'k', 's'])('without %s, or with two of it, is none', name => {
    const { adId, query } = made();
    const { [name]: value, ...without } = query;
    expect(judged({ adId, query: without })).toBe('malformed');
    expect(judged({ adId, query: { ...query, [name]: [value, value] } })).toBe('malformed');
  });

  it('cannot have its lines moved from one field to the next', () => {
    expect(judged({ ...made(), adId: 'ad-42\nb3c1' })).toBe('malformed');
    for (const name of ['e', 't', 'x', 'd', 'k']) {
      const { adId, query } = made();
      expect(judged({ adId, query: { ...query, [name]: `${query[name]}\n` } }), name).toBe('malformed');
    }
    expect(() => made({ eventId: 'a\nb' })).toThrow(RangeError);
  });

  it('is valid until it expires, and for at most seven days', () => {
    const x = nowS + 10;
    expect(judged(made({ expiresAt: `${x}` }), both, x * 1_000 - 1)).toMatchObject({ ok: true });
    expect(judged(made({ expiresAt: `${x}` }), both, x * 1_000)).toBe('expired');
    const weekS = 7 * 86_400;
    expect(judged(made({ madeAt: `${nowS}`, expiresAt: `${nowS + weekS}` }))).toMatchObject({ ok: true });
    expect(judged(made({ madeAt: `${nowS}`, expiresAt: `${nowS + weekS + 1}` }))).toBe('lives_too_long');
    expect(judged(made({ madeAt: `${nowS + 20}`, expiresAt: `${nowS + 20}` }))).toBe('lives_too_long');
  });

  it('may be made by a clock that is five minutes ahead, as a posted click may', () => {
    expect(judged(made({ madeAt: `${nowS + 300}` }))).toMatchObject({ ok: true, clickedAt: now + 300_000 });
    expect(judged(made({ madeAt: `${nowS + 301}` }))).toBe('made_in_the_future');
  });

  it.each([
    'javascript:alert(1)',
    'ftp://shop.example/',
    '//shop.example/',
    '/shoes',
    'HTTPS://shop.example/',
    'https://',
    'https://user@shop.example/',
    'https://user:word@shop.example/',
    'https://@shop.example/',
    'https://shop.example\\@evil.example/',
    'https:/\\evil.example/',
    'https://shop.example/a b',
    'https://shop.example/\r\nset-cookie:a=b',
    'https://shop.example/schön',
    'https://shop.example:99999/',
  ])('does not lead to %j, even if it is signed', destination => {
    const { adId, query } = made();
    expect(judged({ adId, query: { ...query, d: destination } })).toBe('malformed');
  });

  it('does not lead to more than 2,048 characters', () => {
    const start = 'https://shop.example/';
    const longest = start.padEnd(2_048, 'a');
    expect(judged(made({ destination: longest }))).toMatchObject({ ok: true });
    expect(judged(made({ destination: `${longest}a` }))).toBe('malformed');
  });

  it('without a destination leads to the first one of the ad, and with one only to one of them', () => {
    const listed = keysOf([{ id: 'one', secret: secrets.one }], { 'ad-42': ['https://a.example/', shop] });
    expect(judged(made({ destination: '' }), listed)).toMatchObject({ destination: 'https://a.example/' });
    expect(judged(made(), listed)).toMatchObject({ destination: shop });
    expect(judged(made({ destination: 'https://b.example/' }), listed)).toBe('wrong_destination');
    expect(judged(made({ adId: 'ad-7', destination: '' }), listed)).toBe('wrong_destination');
    expect(judged(made({ adId: 'ad-7' }), listed)).toMatchObject({ destination: shop });
  });
});

describe('a link key', () => {
  it('that is not known signs nothing, nor does one for another', () => {
    expect(judged(made({ keyId: 'three' }))).toBe('unknown_key');
    expect(judged(made({ keyId: 'two' }))).toBe('wrong_signature');
    expect(judged(made({ keyId: 'two' }, secrets.two))).toMatchObject({ ok: true });
  });

  it('is in force from not_before on and until not_after', () => {
    const times = { not_before: '2026-03-01T12:00:00Z', not_after: '2026-03-01T13:00:00+00:00' };
    const rotated = keysOf([{ id: 'one', secret: secrets.one, ...times }]);
    const long = made({ madeAt: `${nowS - 60}`, expiresAt: `${nowS + 7_200}` });
    expect(judged(long, rotated, now - 1)).toBe('key_not_in_force');
    expect(judged(long, rotated, now)).toMatchObject({ ok: true });
    expect(judged(long, rotated, now + 3_599_999)).toMatchObject({ ok: true });
    expect(judged(long, rotated, now + 3_600_000)).toBe('key_not_in_force');
  });

  it('with a prefix signs for those ads alone', () => {
    const limited = keysOf([{ id: 'one', secret: secrets.one, ad_id_prefix: 'ad-4' }]);
    expect(judged(made(), limited)).toMatchObject({ ok: true });
    expect(judged(made({ adId: 'ad-5' }), limited)).toBe('wrong_ad');
  });
});

describe('the key file', () => {
  const secret = 'very-secret-very-secret-very-secret-very-secret';
  it.each([
    ['no JSON', `{"keys": [{"id": "a", "secret": "${secret}"`, 'must be JSON'],
    ['no key', { keys: [] }, 'keys'],
    ['a field with a wrong name', { keys: [{ id: 'a', secret, ad_prefix: 'x' }] }, 'keys.0'],
    ['a short secret', { keys: [{ id: 'a', secret: secret.slice(0, 42) }] }, 'keys.0.secret must be 43 to 128'],
    [
      'one id twice',
      {
        keys: [
          { id: 'a', secret },
          { id: 'a', secret },
        ],
      },
      'keys[1].id is "a"',
    ],
    [
      'no time',
      { keys: [{ id: 'a', secret, not_after: 'soon' }] },
      'keys[0].not_after is "soon", but must be RFC 3339',
    ],
    [
      'no destination',
      { keys: [{ id: 'a', secret }], destinations: { b: ['/x'] } },
      'destinations.b is "/x", but must',
    ],
    ['no ad', { keys: [{ id: 'a', secret }], destinations: { 'b c': ['https://x.example/'] } }, 'destinations'],
  ])('with %s is refused, with the place and without any secret', (_what, content, message) => {
    const text = typeof content === 'string' ? content : JSON.stringify(content);
    const parse = () => atOnce(readLinkKeys(Buffer.from(text), 'links.json'));
    expect(parse).toThrow(`links.json: `);
    expect(parse).toThrow(message);
    expect(parse).not.toThrow(secret.slice(0, 10));
  });

  it('has a limit', () => {
    const tooLong = Buffer.alloc(mostKeyFileBytes + 1, ' ');
    expect(() => atOnce(readLinkKeys(tooLong, 'links.json'))).toThrow(
      /^links\.json: has 67108865 bytes, but may have 67108864/,
    );
  });
});
