import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Problem } from '../../../infra/http.ts';
import { rangeOf, seriesRangeOf, windowOf } from '../../../query-api/http/asked-range.ts';
import { type Granularity, stepsMs } from '../../../query-api/time/time-range.ts';

const now = Date.parse('2025-11-22T08:26:40.123Z');
const rules = { now, maxMinutes: 44_640 };
const at = (text: string) => Date.parse(text);

function problemOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof Problem && error.status === 400) return error.message;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('a range of minutes', () => {
  it('is the last full minute when nothing is asked for', () => {
    expect(rangeOf({}, rules)).toEqual({ from: at('2025-11-22T08:25:00Z'), to: at('2025-11-22T08:26:00Z') });
  });

  it('is the minute that has just ended, exactly at the border of a minute', () => {
    const border = at('2025-11-22T08:26:00Z');
    expect(rangeOf({}, { ...rules, now: border })).toEqual({ from: border - 60_000, to: border });
  });

  it.each([
    ['2025-11-22T08:00:00Z', '2025-11-22T08:10:00Z'],
    ['2025-11-22T17:00:00+09:00', '2025-11-22T17:10:00.000+09:00'],
    [`${at('2025-11-22T08:00:00Z')}`, '2025-11-22T08:10:00Z'],
  ])('accepts %s to %s', (from, to) => {
    expect(rangeOf({ from, to }, rules)).toEqual({ from: at('2025-11-22T08:00:00Z'), to: at('2025-11-22T08:10:00Z') });
  });

  it.each([
    [{ from: '2025-11-22T08:00:00Z' }, 'to is not given, but must be given together with from'],
    [{ to: '2025-11-22T08:00:00Z' }, 'from is not given, but must be given together with to'],
    [
      { from: 'yesterday', to: '0' },
      'from is "yesterday", but must be a time with a zone, such as 2026-01-01T12:00:00Z (RFC 3339), or epoch milliseconds',
    ],
    [{ from: '2025-11-22T08:00:00', to: '0' }, /^from is .*, but must be a time with a zone/],
    [{ from: '2025-11-22T08:00:00 09:00', to: '0' }, /%2B/],
    [{ from: '', to: '0' }, /^from is "", but/],
    [{ from: '-60000', to: '0' }, /^from is .*, but must be a time with a zone/],
    [
      { from: '2025-11-22T08:00:30Z', to: '2025-11-22T08:10:00Z' },
      'from is "2025-11-22T08:00:30Z", but must be a whole minute in UTC, as 2025-11-22T08:00:00Z and 2025-11-22T08:01:00Z are',
    ],
    [
      { from: '2025-11-22T08:00:00Z', to: '2025-11-22T08:10:00.001Z' },
      'to is "2025-11-22T08:10:00.001Z", but must be a whole minute in UTC, as 2025-11-22T08:10:00Z and 2025-11-22T08:11:00Z are',
    ],
    [
      { from: '2025-11-22T08:00:00Z', to: '2025-11-22T08:00:00Z' },
      /^from is .*, but must be before to, which is "2025-11-22T08:00:00Z"$/,
    ],
    [
      { from: '2025-11-22T08:01:00Z', to: '2025-11-22T08:00:00Z' },
      /^from is .*, but must be before to, which is "2025-11-22T08:00:00Z"$/,
    ],
    [
      { from: '0', to: '2678460000' },
      'to is "2678460000", but must be at most 31 days after from, and is 44641 minutes after it: ask for a shorter range, or for several',
    ],
    [{ from: '9007199254740960000', to: '0' }, /^from is .*, but must be a time with a zone/],
    [{ from: '4294944060000', to: '4294944120000' }, /^from is .*, but must not be after 2106-02-07/],
  ])('refuses %j', (asked, message) => {
    expect(problemOf(() => rangeOf(asked, rules))).toMatch(message);
  });

  it('may be as long as the limit', () => {
    expect(rangeOf({ from: '0', to: '2678400000' }, rules)).toEqual({ from: 0, to: 2_678_400_000 });
  });
});

describe('a window', () => {
  it('is the last full minutes', () => {
    expect(windowOf({ window: 5 }, rules)).toEqual({
      from: at('2025-11-22T08:21:00Z'),
      to: at('2025-11-22T08:26:00Z'),
    });
  });

  it('must not be used together with from or to', () => {
    expect(problemOf(() => windowOf({ window: 5, to: '60000' }, rules))).toBe(
      'window is 5, but cannot be used together with from and to: use either window or from and to',
    );
  });

  it('has the same limit as a range', () => {
    expect(problemOf(() => windowOf({ window: 44_641 }, rules))).toBe('window is 44641, but must be at most 31 days');
  });

  it.each([1, 2, 60, 1_440, 44_640])('of %i minutes equals from and to of as many, whatever the time is', window => {
    fc.assert(
      fc.property(fc.integer({ min: 10 * 44_640 * 60_000, max: 4_000_000_000_000 }), anyNow => {
        const range = windowOf({ window }, { ...rules, now: anyNow });
        expect(range.to - range.from).toBe(window * 60_000);
        expect(range.to).toBeLessThanOrEqual(anyNow);
        expect(anyNow - range.to).toBeLessThan(60_000);
        expect(rangeOf({ from: `${range.from}`, to: new Date(range.to).toISOString() }, rules)).toEqual(range);
      }),
    );
  });
});

describe('the range of a series', () => {
  it.each<[Granularity, string, string]>([
    ['minute', '2025-11-22T07:26:00Z', '2025-11-22T08:26:00Z'],
    ['hour', '2025-11-21T09:00:00Z', '2025-11-22T09:00:00Z'],
    ['day', '2025-10-23T00:00:00Z', '2025-11-23T00:00:00Z'],
  ])('by %s is %s to %s when nothing is asked for', (granularity, from, to) => {
    expect(seriesRangeOf({}, granularity, rules)).toEqual({ from: at(from), to: at(to) });
  });

  it.each<Granularity>(['minute', 'hour', 'day'])('by %s is exactly the minutes asked for', granularity => {
    const asked = { from: '2025-11-22T08:31:00Z', to: '2025-11-22T10:07:00Z' };
    expect(seriesRangeOf(asked, granularity, rules)).toEqual({ from: at(asked.from), to: at(asked.to) });
    expect(problemOf(() => seriesRangeOf({ ...asked, to: '2025-11-22T10:07:30Z' }, granularity, rules))).toBe(
      'to is "2025-11-22T10:07:30Z", but must be a whole minute in UTC, as 2025-11-22T10:07:00Z and 2025-11-22T10:08:00Z are',
    );
  });

  it('has whole minutes, or whole steps when no range is asked for, within the limit', () => {
    const granularity = fc.constantFrom<Granularity>('minute', 'hour', 'day');
    const minute = fc.integer({ min: 0, max: 200_000 }).map(n => n * 60_000);
    fc.assert(
      fc.property(
        granularity,
        fc.option(fc.tuple(minute, minute)),
        fc.integer({ min: 1_440, max: 60_000 }),
        (step, given, maxMinutes) => {
          const asked = given ? { from: `${given[0]}`, to: `${given[1]}` } : {};
          try {
            const { from, to } = seriesRangeOf(asked, step, { now, maxMinutes });
            expect(from).toBeLessThan(to);
            const unit = given ? stepsMs.minute : stepsMs[step];
            expect([from % unit, to % unit]).toEqual([0, 0]);
            if (given) expect([from, to]).toEqual(given);
            expect(to - from).toBeLessThanOrEqual(maxMinutes * 60_000);
          } catch (error) {
            if (!(error instanceof Problem)) throw error;
            expect(given).not.toBeNull();
          }
        },
      ),
    );
  });
});
