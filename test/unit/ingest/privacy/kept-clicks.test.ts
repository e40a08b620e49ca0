/** Posted clicks are kept as the settings say, however they are written. */
import { createSecretKey } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { atOnce } from '../../../../infra/slices.ts';
import { createClickParser } from '../../../../ingest/click-batch.ts';
import { FactFinder } from '../../../../ingest/fact-finding/fact-finder.ts';
import { readValidityList } from '../../../../ingest/fact-finding/validity-list.ts';
import type { KeptFields } from '../../../../ingest/kept-click.ts';
import { createPersonalData, hashedIp, hashedUserId } from '../../../../ingest/privacy/personal-data.ts';

const key = createSecretKey('k'.repeat(43), 'utf8');
const receivedAt = Date.UTC(2026, 10, 29, 12);

function linesOf(body: string, kept: KeptFields): Record<string, unknown>[] {
  const slices = createClickParser(1_000, kept).ndjson(Buffer.from(body), { receivedAt, isStrict: false });
  for (;;) {
    const { done, value } = slices.next();
    if (!done) continue;
    const text = value.lines.bytes.toString('utf8', 0, value.lines.end);
    return text
      .split('\n')
      .filter(line => line !== '')
      .map(line => {
        const { click_id: _, ...fields } = JSON.parse(line) as Record<string, unknown>;
        return fields;
      });
  }
}

const hashing = createPersonalData({ ip: 'hashed', userId: 'hashed', salt: 'daily', key });
const countryOfAddress = (ip: string) => (ip.startsWith('203.') ? 'KR' : 'ZZ');

describe.each([
  ['plain', (text: string) => text],
  // An escape is what the fast way of reading leaves to the parser.
  ['with an escape', (text: string) => text.replace('"ad_id"', '"ad\\u005fid"')],
])('a click that is written %s', (_what, written) => {
  const click = `{"ad_id":"ad-1","event_id":"e","clicked_at":${receivedAt},"user_id":"u-17","ip":"203.0.113.7"}`;

  it('has hashes in place of person and address, which nothing of the line shows any more', () => {
    const [line] = linesOf(written(click), { personal: hashing });
    expect(line).toMatchObject({ user_id: hashing?.keptUserId('u-17', receivedAt), country: 'ZZ' });
    expect(line?.['ip']).toBe(hashing?.keptIp('203.0.113.7', receivedAt));
    expect(JSON.stringify(line)).not.toMatch(/u-17|203\.0/);
  });

  it('has its address in the one spelling that it has, so that nobody is under no cap by spelling it anew', () => {
    const of = (ip: string) => linesOf(written(click.replace('203.0.113.7', ip)), {})[0]?.['ip'];
    expect(['2001:DB8:0::0:01', '2001:db8::1'].map(of)).toEqual(['2001:db8::1', '2001:db8::1']);
    expect(of('::ffff:203.0.113.7')).toBe('203.0.113.7');
    expect(of('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2:3:4:5:6');
  });

  it.each(['none', 'hashed'] as const)('gets its country by its address before that is kept as %s', ip => {
    const personal = createPersonalData({ ip, userId: 'plain', salt: 'fixed', key });
    const [line] = linesOf(written(click), { personal, countryOfAddress });
    expect(line).toMatchObject({ country: 'KR', user_id: 'u-17' });
    expect(line?.['ip']).toBe(personal?.keptIp('203.0.113.7', receivedAt));
  });

  it.each(['none', 'hashed', 'truncated'] as const)(
    'gets its facts by its address and user agent before these are kept as %s and none',
    ip => {
      const personal = createPersonalData({ ip, userId: 'plain', userAgent: 'none', salt: 'fixed', key });
      const list = atOnce(readValidityList(Buffer.from('203.0.113.7'), 'LIST', 'networks'));
      const finder = new FactFinder({ datacentre: () => list });
      const posted = written(click.replace('}', ',"user_agent":"curl/8.5.0"}'));
      const [line] = linesOf(posted, { personal, finder });
      expect(line?.['facts']).toBe('bc');
      expect(line).not.toHaveProperty('user_agent');
      // As exports give it back: otherwise it would be a copy without facts, by which the click of a robot is billed.
      expect(linesOf(written(JSON.stringify(line)), { personal, finder })).toMatchObject([{ facts: 'bc' }]);
    },
  );

  it('again has what is found now beside the facts that it had, and nothing by which no rule would apply to it', () => {
    const again = (facts: string, more = '') => {
      const posted = written(click.replace('}', `,"facts":"${facts}"${more}}`));
      return linesOf(posted, { finder: new FactFinder() })[0]?.['facts'];
    };
    expect(again('bz', ',"purpose":"head"')).toBe('bp');
    expect(again('ab')).toBeUndefined();
    expect(again('a', ',"user_agent":"curl/8.5.0"')).toBe('b');
    expect(again('B', ',"user_agent":"curl/8.5.0"')).toBe('b');
  });

  it('keeps of its referrer the origin alone', () => {
    const posted = written(click.replace('}', ',"referrer":"https://page.example/a?q=secret","purpose":"head"}'));
    const [line] = linesOf(posted, { finder: new FactFinder() });
    expect(line).toMatchObject({ referrer: 'https://page.example', purpose: 'head', facts: 'p' });
  });

  it('keeps the country that it was posted with', () => {
    const posted = written(click.replace('}', ',"country":"DE"}'));
    expect(linesOf(posted, { countryOfAddress })).toMatchObject([{ country: 'DE', ip: '203.0.113.7' }]);
    const unknown = written(click.replace('}', ',"country":"ZZ"}'));
    expect(linesOf(unknown, { countryOfAddress })).toMatchObject([{ country: 'KR' }]);
  });
});

it('is kept the same, written plain or not, whatever is posted and whatever the rules are', () => {
  const field = fc.option(fc.constantFrom('u', 'u-17', 'x'.repeat(128), hashedUserId(key, 'u', '')), {
    nil: undefined,
  });
  const address = fc.option(fc.oneof(fc.ipV4(), fc.ipV6(), fc.constant(hashedIp(key, '203.0.113.7', ''))), {
    nil: undefined,
  });
  const rules = fc.record({
    ip: fc.constantFrom('full' as const, 'truncated' as const, 'hashed' as const, 'none' as const),
    userId: fc.constantFrom('plain' as const, 'hashed' as const),
    userAgent: fc.constantFrom('full' as const, 'none' as const),
    salt: fc.constantFrom('fixed' as const, 'daily' as const),
    withCountries: fc.boolean(),
  });
  const made = fc.record({
    user_agent: fc.constantFrom(
      undefined,
      'curl/8.5.0',
      'Mozilla/5.0 (X11; Linux x86_64)',
      'x'.repeat(512),
      'x'.repeat(513),
    ),
    referrer: fc.oneof(
      fc.constantFrom(
        undefined,
        'https://Page.example:443/',
        'http://1/',
        'http://xn--a.example/',
        'app://x',
        'https://a.b',
      ),
      fc.webUrl({ withQueryParameters: true }),
      fc.domain().map(domain => `http://${domain}`),
    ),
    purpose: fc.constantFrom(undefined, 'prefetch', 'head', 'other'),
  });
  const finder = new FactFinder();
  fc.assert(
    fc.property(field, address, fc.option(fc.constantFrom('DE', 'ZZ'), { nil: undefined }), rules, made, (...drawn) => {
      const [user_id, ip, country, { withCountries, ...rest }, more] = drawn;
      const kept = {
        personal: createPersonalData({ ...rest, key }),
        finder,
        ...(withCountries && { countryOfAddress }),
      };
      const click = JSON.stringify({
        ad_id: 'ad-1',
        event_id: 'e',
        clicked_at: receivedAt,
        country,
        user_id,
        ip,
        ...more,
      });
      const [plain] = linesOf(click, kept);
      expect(linesOf(click.replace('ad_id', 'ad\\u005fid'), kept)).toEqual([plain]);
    }),
  );
});
