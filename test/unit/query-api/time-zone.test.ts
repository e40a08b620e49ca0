import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { Problem } from '../../../infra/http.ts';
import { bordersIn, stepsOfRange, zoneOf } from '../../../query-api/http/time-zone.ts';
import { stepsOf } from '../../../query-api/time/steps.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const at = (text: string) => Date.parse(text);
const now = at('2025-11-22T08:26:40.123Z');
const rules = { now, maxMinutes: 44_640 };

const zones = [
  'UTC',
  'Asia/Seoul',
  'Asia/Kolkata',
  'Asia/Kathmandu',
  'Europe/Berlin',
  'America/New_York',
  'America/Sao_Paulo',
  'America/St_Johns',
  'Africa/Cairo',
  'Africa/Casablanca',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'Asia/Beirut',
];

/** The length of each step in minutes. */
const lengths = (from: string, to: string, granularity: 'hour' | 'day', timezone: string) => {
  const { range, step } = stepsOfRange({ from, to }, granularity, timezone, rules);
  return stepsOf(range, step).map(one => (one.to - one.from) / minuteMs);
};

describe('a day', () => {
  it('begins at midnight of its zone', () => {
    const { range, step } = stepsOfRange(
      { from: '2025-11-20T15:00:00Z', to: '2025-11-22T15:00:00Z' },
      'day',
      'Asia/Seoul',
      rules,
    );
    expect(stepsOf(range, step).map(one => new Date(one.from).toISOString())).toEqual([
      '2025-11-20T15:00:00.000Z',
      '2025-11-21T15:00:00.000Z',
    ]);
  });

  it.each([
    ['Europe/Berlin', '2025-10-25T00:00:00+02:00', '2025-10-28T00:00:00+01:00', [24, 25, 24]],
    ['Europe/Berlin', '2025-03-29T00:00:00+01:00', '2025-04-01T00:00:00+02:00', [24, 23, 24]],
    ['America/New_York', '2025-11-02T00:00:00-04:00', '2025-11-03T00:00:00-05:00', [25]],
    ['Australia/Lord_Howe', '2025-10-05T00:00:00+10:30', '2025-10-06T00:00:00+11:00', [23.5]],
    // Midnight does not exist: the clock goes from 23:59 to 01:00.
    ['Africa/Cairo', '2025-04-24T00:00:00+02:00', '2025-04-26T00:00:00+03:00', [24, 23]],
    // A day of the calendar does not exist.
    ['Pacific/Apia', '2011-12-29T00:00:00-10:00', '2012-01-01T00:00:00+14:00', [24, 24]],
    // The clock is put back from one minute after midnight to the previous day.
    ['America/St_Johns', '2010-11-06T00:00:00-02:30', '2010-11-08T00:00:00-03:30', [24, 25]],
  ])('has 23, 24, 25 or another number of hours, as the clock in %s goes from %s', (zone, from, to, hours) => {
    expect(lengths(from, to, 'day', zone).map(minutes => minutes / 60)).toEqual(hours);
  });

  it('may be asked for over a month that is one hour longer', () => {
    const days = lengths('2025-10-01T00:00:00+02:00', '2025-11-01T00:00:00+01:00', 'day', 'Europe/Berlin');
    expect(days).toHaveLength(31);
  });
});

describe('an hour', () => {
  it('begins when the clock of the zone shows a full hour', () => {
    expect(lengths('2025-11-22T00:30:00Z', '2025-11-22T02:30:00Z', 'hour', 'Asia/Kolkata')).toEqual([60, 60]);
  });

  it('that occurs twice is two hours, and a clock change by half an hour makes half hours', () => {
    const berlin = lengths('2025-10-26T00:00:00+02:00', '2025-10-27T00:00:00+01:00', 'hour', 'Europe/Berlin');
    expect([berlin.length, new Set(berlin)]).toEqual([25, new Set([60])]);
    const back = lengths('2025-04-06T01:00:00+11:00', '2025-04-06T03:00:00+10:30', 'hour', 'Australia/Lord_Howe');
    expect(back).toEqual([60, 30, 60]);
  });
});

describe('borders', () => {
  it.each(zones)('in %s are where Intl shows another hour or day, minute by minute', zone => {
    const shown = new Intl.DateTimeFormat('sv', { timeZone: zone, dateStyle: 'short', timeStyle: 'short' });
    const label = (time: number) => shown.format(time);
    // Around clock changes, and at any other time.
    const somewhere = fc.oneof(
      fc.integer({ min: at('2005-01-01T00:00:00Z') / minuteMs, max: at('2030-01-01T00:00:00Z') / minuteMs }),
      fc.constantFrom('2025-10-26T01:00Z', '2025-03-30T01:00Z', '2025-11-02T06:00Z', '2025-10-04T15:30Z').map(near),
      fc.constantFrom('2025-04-24T22:00Z', '2010-11-07T02:31Z', '2011-12-30T10:00Z', '2018-11-04T03:00Z').map(near),
    );
    fc.assert(
      fc.property(somewhere, fc.integer({ min: 1, max: 2_000 }), (fromMinute, length) => {
        const [from, to] = [fromMinute * minuteMs, (fromMinute + length) * minuteMs];
        const hours: number[] = [];
        const days: number[] = [];
        let lastDay = '';
        for (let time = from - 2 * 24 * hourMs; time <= to; time += minuteMs) {
          const [day = '', clock = ''] = label(time).split(' ');
          if (day > lastDay && time >= from && lastDay !== '') days.push(time);
          if (day > lastDay) lastDay = day;
          if (time < from) continue;
          const before = label(time - minuteMs);
          const isNext = minuteOfDay(before) % 1_440 === (minuteOfDay(`${day} ${clock}`) + 1_439) % 1_440;
          const isSameDay = before.startsWith(day) || clock === '00:00';
          if (clock.endsWith(':00') || !isNext || !isSameDay) hours.push(time);
        }
        expect(bordersIn({ from, to }, 'hour', zoneOf(zone))).toEqual(hours);
        expect(bordersIn({ from, to }, 'day', zoneOf(zone))).toEqual(days);
      }),
      { numRuns: 12 },
    );
  });

  function near(text: string): number {
    return at(text) / minuteMs - 900;
  }

  function minuteOfDay(label: string): number {
    const [hour = 0, minute = 0] = label.slice(-5).split(':').map(Number);
    return hour * 60 + minute;
  }
});

describe('the range of a series in a zone', () => {
  it.each([
    ['hour', 24, '2025-11-21T08:30:00Z', '2025-11-22T08:30:00Z'],
    ['day', 31, '2025-10-22T18:30:00Z', '2025-11-22T18:30:00Z'],
  ] as const)('by %s is the last %i with the running one when nothing is asked for', (granularity, steps, from, to) => {
    const { range, step } = stepsOfRange({}, granularity, 'Asia/Kolkata', rules);
    expect(range).toEqual({ from: at(from), to: at(to) });
    expect(stepsOf(range, step)).toHaveLength(steps);
  });

  it('is covered by its steps without gaps, in every zone', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...zones),
        fc.constantFrom('hour' as const, 'day' as const),
        fc.integer({ min: at('2005-01-01T00:00:00Z'), max: at('2040-01-01T00:00:00Z') }),
        (zone, granularity, anyNow) => {
          const { range, step } = stepsOfRange({}, granularity, zone, { ...rules, now: anyNow });
          const steps = stepsOf(range, step);
          expect([steps[0]?.from, steps.at(-1)?.to]).toEqual([range.from, range.to]);
          for (const [i, one] of steps.entries()) expect(one.from).toBe(steps[i - 1]?.to ?? range.from);
          expect(steps.at(-1)?.from).toBeLessThanOrEqual(anyNow);
          expect(range.to).toBeGreaterThan(anyNow - minuteMs);
          const asked = { from: `${range.from}`, to: `${range.to}` };
          const again = stepsOfRange(asked, granularity, zone, rules);
          expect([again.range, stepsOf(range, again.step)]).toEqual([range, steps]);
        },
      ),
      { numRuns: 60 },
    );
  });

  it.each([undefined, ...zones])(
    'in %s is the minutes asked for, cut where hours and days begin and nowhere else',
    zone => {
      fc.assert(
        fc.property(
          fc.constantFrom('hour' as const, 'day' as const),
          fc.integer({ min: at('2005-01-01T00:00:00Z') / minuteMs, max: at('2040-01-01T00:00:00Z') / minuteMs }),
          fc.integer({ min: 1, max: 44_640 }),
          (granularity, fromMinute, length) => {
            const [from, to] = [fromMinute * minuteMs, (fromMinute + length) * minuteMs];
            const { range, step } = stepsOfRange({ from: `${from}`, to: `${to}` }, granularity, zone, rules);
            expect(range).toEqual({ from, to });
            const borders = bordersIn(range, granularity, zoneOf(zone ?? 'UTC'));
            const cuts = [...new Set([from, ...borders, to])];
            expect(stepsOf(range, step)).toEqual(cuts.slice(1).map((end, i) => ({ from: cuts[i], to: end })));
          },
        ),
        { numRuns: 25 },
      );
    },
  );

  it.each([
    [
      { from: '2025-11-22T00:00:30Z', to: '2025-11-22T15:00:00Z' },
      'day',
      'Asia/Seoul',
      /^from is .*, but must be a whole minute/,
    ],
    [
      {},
      'day',
      'Mars/Phobos',
      /^timezone is "Mars\/Phobos", but must be the name of an IANA time zone, such as Asia\/Seoul$/,
    ],
    [{}, 'minute', '+09:00', /^timezone is /],
    [{ from: '2025-09-01T00:00:00Z', to: '2025-11-01T00:00:00Z' }, 'day', 'UTC', /^to is .*, but must be at most/],
  ] as const)('refuses %j by %s in %s', (asked, granularity, zone, message) => {
    let problem: unknown;
    try {
      stepsOfRange(asked, granularity, zone, rules);
    } catch (error) {
      problem = error;
    }
    expect(problem).toBeInstanceOf(Problem);
    expect((problem as Problem).message).toMatch(message);
  });
});

describe('a zone', () => {
  it('has the offsets that Intl shows, for every zone', () => {
    const time = fc.integer({ min: at('1973-01-01T00:00:00Z') / minuteMs, max: at('2037-01-01T00:00:00Z') / minuteMs });
    for (const name of Intl.supportedValuesOf('timeZone')) {
      const zone = zoneOf(name);
      const shown = new Intl.DateTimeFormat('sv', { timeZone: name, dateStyle: 'short', timeStyle: 'medium' });
      fc.assert(
        fc.property(time, minute => {
          const local = shown.format(minute * minuteMs).replace(' ', 'T');
          expect(zone(minute * minuteMs)).toBe(at(`${local}Z`) - minute * minuteMs);
        }),
        { numRuns: 10 },
      );
    }
  });

  it('is kept under one name, in however many ways a client writes it', () => {
    const Format = Intl.DateTimeFormat;
    const made = vi.spyOn(Intl, 'DateTimeFormat').mockImplementation(function format(locale, options) {
      return new Format(locale, options);
    });
    try {
      const letters = [...'antarctica/troll'];
      for (let i = 0; i < letters.length; i++) zoneOf(letters.with(i, letters[i]?.toUpperCase() ?? '').join(''))(now);
      expect(made.mock.calls.length).toBeGreaterThanOrEqual(letters.length);
      expect(made.mock.calls.filter(([, options]) => options?.timeZoneName !== undefined).length).toBeLessThanOrEqual(
        1,
      );
    } finally {
      made.mockRestore();
    }
  });

  it('has days even if a change of the offset skips midnight', () => {
    const kathmandu = lengths('1985-12-30T18:30:00Z', '1986-01-02T18:15:00Z', 'day', 'Asia/Kathmandu');
    expect(kathmandu.map(minutes => minutes / 60)).toEqual([24, 23.75, 24]);
  });
});
