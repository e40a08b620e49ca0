import { isIP } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseClick } from '../../../ingest/click-body.ts';

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

  it('treats null as not given', () => {
    expect(codeOf({ ad_id: 'a', event_id: null, clicked_at: null, country: null, user_id: null, ip: null })).toBe('ok');
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
    expect(parse({ ad_id: 'a b' })).toMatchObject({ message: 'ad_id "a b": must be 1 to 128 of A-Z a-z 0-9 . _ : -' });
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
    [{ ad_id: '' }, 'invalid_field'],
    [{ ad_id: 7 }, 'invalid_field'],
    [{ ad_id: 'x'.repeat(129) }, 'invalid_field'],
    [{ ad_id: 'a', clicked_at: 'yesterday' }, 'invalid_field'],
    [{ ad_id: 'a', clicked_at: `${receivedAt}` }, 'invalid_field'],
    [{ ad_id: 'a', clicked_at: receivedAt + 0.5 }, 'invalid_field'],
    [{ ad_id: 'a', clicked_at: receivedAt, event_id: '' }, 'invalid_field'],
    [{ ad_id: 'a', clicked_at: receivedAt, event_id: 'a\nb' }, 'invalid_field'],
    [{ ad_id: 'a', clicked_at: receivedAt, event_id: '\ud800' }, 'invalid_field'],
    [{ ad_id: 'a', country: 'KOR' }, 'invalid_field'],
    [{ ad_id: 'a', country: 'ß' }, 'invalid_field'],
    [{ ad_id: 'a', user_id: 'u'.repeat(129) }, 'invalid_field'],
    [{ ad_id: 'a', ip: '256.0.0.1' }, 'invalid_field'],
    [{ ad_id: 'a', ip: 'fe80::1%eth0' }, 'invalid_field'],
    [{ ad_id: 'a', ip: { toString: 1 } }, 'invalid_field'],
  ])('judges %j as %s', (input, code) => {
    expect(codeOf(input)).toBe(code);
  });

  it('accepts exactly what the rules allow', () => {
    fc.assert(
      fc.property(postedClicks, posted => {
        expect(parse(posted).ok).toBe(obeysTheRules(posted));
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
  fc.constantFrom('', 'a\u0000', '\udc00x'),
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
    country: often(fc.stringMatching(/^[A-Za-z]{2}$/), texts),
    user_id: often(texts),
    ip: often(fc.oneof(fc.ipV4(), fc.ipV6()), texts),
  },
  { requiredKeys: ['ad_id'] },
);

/** The rules of the API, said again in the plainest way. */
function obeysTheRules({ ad_id, event_id, clicked_at, country, user_id, ip }: Posted): boolean {
  const isPlainText = (value: unknown) =>
    typeof value === 'string' &&
    value.length >= 1 &&
    value.length <= 128 &&
    value.isWellFormed() &&
    [...value].every(c => c >= ' ' && c !== '\u007f');
  if (typeof ad_id !== 'string' || !/^[A-Za-z0-9._:-]{1,128}$/.test(ad_id)) return false;
  if (event_id !== undefined && (!isPlainText(event_id) || clicked_at === undefined)) return false;
  if (clicked_at !== undefined) {
    const at = typeof clicked_at === 'string' && clicked_at !== '' ? Date.parse(clicked_at) : clicked_at;
    if (typeof at !== 'number' || at < receivedAt - 7 * 24 * 60 * minuteMs || at > receivedAt + 5 * minuteMs)
      return false;
  }
  if (country !== undefined && (typeof country !== 'string' || !/^[A-Za-z]{2}$/.test(country))) return false;
  if (user_id !== undefined && !isPlainText(user_id)) return false;
  return ip === undefined || (typeof ip === 'string' && isIP(ip) !== 0 && !ip.includes('%'));
}
