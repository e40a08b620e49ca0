import { isIP } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseClick } from '../../../ingest/click-body.ts';
import { isoCountries } from '../../../ingest/country.ts';

const receivedAt = Date.parse('2026-03-01T12:00:00.000Z');
const clickId = '01KABCDEFGHJKMNPQRSTVWXYZ0';
const minuteMs = 60_000;
const parse = (input: unknown) => parseClick(input, receivedAt, clickId);
const codeOf = (input: unknown) => {
  const verdict = parse(input);
  return verdict.ok ? 'ok' : verdict.code;
};

describe('parseClick', () => {
  it('takes the time of receipt and the click id where only an ad is given', () => {
    expect(parse({ ad_id: 'ad-1' })).toEqual({
      ok: true,
      click: {
        clickId,
        eventId: clickId,
        adId: 'ad-1',
        clickedAt: receivedAt,
        receivedAt,
        country: 'ZZ',
        userId: undefined,
        ip: undefined,
      },
    });
  });

  it('takes every field', () => {
    const posted = {
      ad_id: 'a',
      event_id: 'é"1',
      clicked_at: '2026-03-01T13:00:00+01:00',
      country: 'kr',
      user_id: 'u',
      ip: '2001:db8::1',
    };
    expect(parse(posted)).toEqual({
      ok: true,
      click: {
        clickId,
        eventId: 'é"1',
        adId: 'a',
        clickedAt: receivedAt,
        receivedAt,
        country: 'KR',
        userId: 'u',
        ip: '2001:db8::1',
      },
    });
  });

  it.each([null, ''])('takes %j for not given', empty => {
    const given = { event_id: empty, clicked_at: empty, country: empty, user_id: empty, ip: empty };
    expect(parse({ ad_id: 'a', ...given })).toEqual(parse({ ad_id: 'a' }));
    expect(parse({ ad_id: empty })).toMatchObject({ message: 'ad_id is not given, but must be' });
    const click = { ad_id: 'a', event_id: 'e' };
    expect(codeOf({ ...click, clicked_at: empty })).toBe('missing_field');
  });

  it.each([
    ['an address with its port', { ip: '203.0.113.9:4711' }],
    ['an address with a zone', { ip: 'fe80::1%eth0' }],
    ['an address that is none', { ip: '256.0.0.1' }],
    ['an address that is an object', { ip: { toString: 1 } }],
    ['a user that is a number', { user_id: 7 }],
    ['a user that is too long', { user_id: 'u'.repeat(129) }],
    ['half a character', { user_id: '\ud800' }],
    ['a country of three letters', { country: 'KOR' }],
    ['a country that there is not', { country: 'QQ' }],
    ['a letter whose capitals are a country', { country: 'ß' }],
    ['letters whose capitals are a country', { country: '\u0131d' }],
    ['a country that is a number', { country: 41 }],
  ])('leaves out %s, says so, and the click counts', (_what, bad) => {
    const click = { ad_id: 'a', event_id: 'e', clicked_at: receivedAt, country: 'KR', user_id: 'u', ip: '::1' };
    const [field = ''] = Object.keys(bad);
    const without = parse({ ...click, [field]: null });
    const verdict = parse({ ...click, ...bad });
    expect(verdict).toEqual({ ...without, dropped: [expect.objectContaining({ field })] });
    const [dropped] = (verdict.ok && verdict.dropped) || [];
    expect(dropped?.problem.startsWith(`${field} is ${JSON.stringify(Object.values(bad)[0]).slice(0, 50)}`)).toBe(true);
  });

  it('leaves out the same of every copy', () => {
    const [one, other] = [receivedAt, receivedAt + 60_000].map(at => {
      return parseClick({ ad_id: 'a', event_id: 'e', clicked_at: receivedAt, ip: 'x', country: 'q' }, at, clickId);
    });
    expect({ ...(other?.ok ? other.click : {}), receivedAt }).toEqual(one?.ok ? one.click : undefined);
  });

  it.each(['.', '..'])('refuses %s as an id, as no address can name it', id => {
    expect(parse({ ad_id: id })).toMatchObject({
      code: 'invalid_field',
      message: expect.stringContaining('ad_id is "'),
    });
    expect(codeOf({ ad_id: 'a', event_id: id, clicked_at: receivedAt })).toBe('invalid_field');
    expect(codeOf({ ad_id: `a${id}`, event_id: `${id}.`.padEnd(3, '.'), clicked_at: receivedAt })).toBe('ok');
  });

  it.each(['.', '..'])('leaves %s out as a user, whom no address could name, and counts the click', userId => {
    const verdict = parse({ ad_id: 'a', user_id: userId });
    expect(verdict).toMatchObject({
      ...{ ok: true, click: { adId: 'a' } },
      dropped: [{ field: 'user_id', problem: expect.stringContaining('must not be . or ..') }],
    });
    expect(verdict.ok && verdict.click.userId).toBeUndefined();
    expect(parse({ ad_id: 'a', user_id: `${userId}..` })).toMatchObject({ click: { userId: `${userId}..` } });
  });

  it('counts the length of a text in Unicode code points', () => {
    const emoji = '\u{1f600}';
    expect(codeOf({ ad_id: 'a', event_id: emoji.repeat(100), clicked_at: receivedAt })).toBe('ok');
    expect(codeOf({ ad_id: 'a', event_id: emoji.repeat(128), clicked_at: receivedAt })).toBe('ok');
    expect(codeOf({ ad_id: 'a', event_id: emoji.repeat(129), clicked_at: receivedAt })).toBe('invalid_field');
    expect(codeOf({ ad_id: 'a', event_id: `${emoji.repeat(127)}ab`, clicked_at: receivedAt })).toBe('invalid_field');
  });

  it.each([
    [receivedAt / 1_000, 'it looks like seconds'],
    [receivedAt * 1_000, 'it looks like microseconds'],
  ])('says of %d that it has another unit', (clicked_at, advice) => {
    expect(parse({ ad_id: 'a', clicked_at })).toMatchObject({ message: expect.stringContaining(advice) });
  });

  it('ignores unknown fields and never lets a client set click_id or received_at', () => {
    const verdict = parse({ ad_id: 'a', click_id: 'mine', received_at: 1, other: {} });
    expect(verdict).toMatchObject({ ok: true, click: { clickId, receivedAt } });
  });

  it('accepts a click exactly 5 min ahead', () => {
    expect(codeOf({ ad_id: 'a', clicked_at: receivedAt + 5 * minuteMs })).toBe('ok');
  });

  it('refuses a click that is 5 min and 1 ms ahead', () => {
    expect(codeOf({ ad_id: 'a', clicked_at: receivedAt + 5 * minuteMs + 1 })).toBe('too_far_ahead');
  });

  it('accepts a click exactly 7 days old', () => {
    expect(codeOf({ ad_id: 'a', clicked_at: receivedAt - 7 * 24 * 60 * minuteMs })).toBe('ok');
  });

  it('refuses a click that is 7 days and 1 ms old', () => {
    expect(codeOf({ ad_id: 'a', clicked_at: receivedAt - 7 * 24 * 60 * minuteMs - 1 })).toBe('too_old');
  });

  it('refuses an event_id without its clicked_at', () => {
    expect(codeOf({ ad_id: 'a', event_id: 'e' })).toBe('missing_field');
  });

  it('reads no field through a prototype', () => {
    expect(codeOf(JSON.parse('{"__proto__":{"ad_id":"a"}}'))).toBe('missing_field');
  });

  it('names field, value and rule', () => {
    expect(parse({ ad_id: 'a b' })).toMatchObject({
      message: 'ad_id is "a b", but must be 1 to 128 of A-Z a-z 0-9 . _ : -',
    });
  });

  it('shortens what it shows of a value', () => {
    const verdict = parse({ ad_id: ' '.repeat(1_000_000) });
    expect(verdict.ok ? '' : verdict.message.length).toBeLessThan(120);
  });

  it.each([
    [null, 'not_an_object'],
    ['text', 'not_an_object'],
    [[{ ad_id: 'a' }], 'not_an_object'],
    [{}, 'missing_field'],
    [{ ad_id: '' }, 'missing_field'],
    [{ ad_id: 7 }, 'invalid_field'],
    [{ ad_id: 'x'.repeat(129) }, 'invalid_field'],
    [{ ad_id: 'a', clicked_at: 'yesterday' }, 'invalid_field'],
    [{ ad_id: 'a', clicked_at: `${receivedAt}` }, 'invalid_field'],
    [{ ad_id: 'a', clicked_at: receivedAt + 0.5 }, 'invalid_field'],
    [{ ad_id: 'a', clicked_at: receivedAt, event_id: 'a\nb' }, 'invalid_field'],
    [{ ad_id: 'a', clicked_at: receivedAt, event_id: '\ud800' }, 'invalid_field'],
  ])('judges %j as %s', (input, code) => {
    expect(codeOf(input)).toBe(code);
  });

  it('accepts exactly what the rules allow', () => {
    fc.assert(
      fc.property(postedClicks, posted => {
        const verdict = parse(posted);
        expect(verdict.ok).toBe(obeysTheRules(posted));
        if (verdict.ok) expect(keptOf(verdict.click)).toEqual(keptBy(posted));
      }),
      { numRuns: 3_000 },
    );
  });
});

interface Posted {
  ad_id?: unknown;
  event_id?: unknown;
  clicked_at?: unknown;
  country?: unknown;
  user_id?: unknown;
  ip?: unknown;
}

const texts = fc.oneof(
  fc.string({ minLength: 1, maxLength: 20 }),
  fc.string({ unit: 'binary', maxLength: 130 }),
  fc.constantFrom('', 'a\u0000', '\udc00x', '.', '..', '...'),
  fc.string({ unit: fc.constantFrom('\u{1f600}', 'a'), minLength: 120, maxLength: 135 }),
);
const junk = fc.constantFrom<unknown>(0, true, {}, [], '');
const often = (good: fc.Arbitrary<unknown>, bad: fc.Arbitrary<unknown> = junk) =>
  fc.oneof({ weight: 6, arbitrary: good }, { weight: 1, arbitrary: bad });
const times = fc.integer({ min: receivedAt - 8 * 24 * 60 * minuteMs, max: receivedAt + 6 * minuteMs });
const postedClicks: fc.Arbitrary<Posted> = fc.record(
  {
    ad_id: often(fc.stringMatching(/^[A-Za-z0-9._:-]{1,128}$/), texts),
    event_id: often(texts),
    clicked_at: often(
      fc.oneof(
        times,
        times.map(ms => new Date(ms).toISOString()),
      ),
    ),
    country: often(fc.oneof(fc.stringMatching(/^[A-Za-z]{2}$/), fc.constantFrom('uk', 'T1', 'a2', 'XX', 'xk')), texts),
    user_id: often(texts),
    ip: often(fc.oneof(fc.ipV4(), fc.ipV6()), texts),
  },
  { requiredKeys: ['ad_id'] },
);

/** The rules of the API, said again in the plainest way. */
function obeysTheRules({ ad_id, event_id, clicked_at }: Posted): boolean {
  if (typeof ad_id !== 'string' || !/^[A-Za-z0-9._:-]{1,128}$/.test(ad_id) || isDots(ad_id)) return false;
  if (isGiven(event_id) && (!isPlainText(event_id) || isDots(event_id) || !isGiven(clicked_at))) return false;
  if (!isGiven(clicked_at)) return true;
  const at = typeof clicked_at === 'string' ? Date.parse(clicked_at) : clicked_at;
  return typeof at === 'number' && at >= receivedAt - 7 * 24 * 60 * minuteMs && at <= receivedAt + 5 * minuteMs;
}

/** What a click keeps beside what it is. */
function keptBy({ country, user_id, ip }: Posted) {
  const codes: Record<string, string> = { UK: 'GB', T1: 'ZZ', A1: 'ZZ', A2: 'ZZ', O1: 'ZZ', XX: 'ZZ' };
  const isAscii = typeof country === 'string' && /^[\x00-\x7f]*$/.test(country);
  const code = isAscii ? (codes[country.toUpperCase()] ?? country.toUpperCase()) : '';
  return {
    country: [...isoCountries, 'XK', 'EU', 'AP'].includes(code) ? code : 'ZZ',
    userId: isGiven(user_id) && isPlainText(user_id) && !isDots(user_id) ? user_id : undefined,
    ip: typeof ip === 'string' && isIP(ip) !== 0 && !ip.includes('%') ? ip : undefined,
  };
}

function keptOf({ country, userId, ip }: { country: string; userId?: string | undefined; ip?: string | undefined }) {
  return { country, userId, ip };
}

const isGiven = (value: unknown) => value !== undefined && value !== null && value !== '';
const isDots = (value: unknown) => value === '.' || value === '..';
const isPlainText = (value: unknown) =>
  typeof value === 'string' &&
  [...value].length >= 1 &&
  [...value].length <= 128 &&
  value.isWellFormed() &&
  [...value].every(c => c >= ' ' && c !== '\u007f');
