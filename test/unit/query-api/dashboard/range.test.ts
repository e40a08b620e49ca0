import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseTime } from '../../../../ingest/click.ts';
import { bordersIn, stepsOfRange, zoneOf } from '../../../../query-api/http/time-zone.ts';
import { stepsOf } from '../../../../query-api/time/steps.ts';

interface Range {
  readonly from: number;
  readonly to: number;
  readonly granularity: 'minute' | 'hour' | 'day';
  readonly isMoving: boolean;
}
type Address = Readonly<Record<string, string | undefined>>;
interface Modules {
  rangeOf(address: Address, zone: string, now?: number): Range;
  wrongRange(address: Address): string;
  startOfDay(date: { year: number; month: number; day: number }, zone: string): number;
  dateAt(at: number, zone: string): { year: number; month: number; day: number };
  wallTime(at: number, zone: string): string;
  momentsOf(text: string, zone: string): number[];
  offsetText(at: number, zone: string): string;
  isoIn(at: number, zone: string): string;
  zoneNames(): string[];
}

/** Imports the modules as a browser does, without types. */
const pages = join(import.meta.dirname, '../../../../query-api/dashboard');
const load = async (name: string): Promise<Partial<Modules>> => await import(join(pages, name));
const { rangeOf, wrongRange, startOfDay, dateAt, wallTime, momentsOf, offsetText, isoIn, zoneNames } = {
  ...(await load('zone.js')),
  ...(await load('range.js')),
} as Modules;

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const at = (text: string) => Date.parse(text);
const rules = { now: at('2030-01-01T00:00:00Z'), maxMinutes: 44_820 };
const zones = [
  ...['UTC', 'Asia/Kolkata', 'Asia/Kathmandu', 'America/New_York', 'America/St_Johns', 'Australia/Lord_Howe'],
  ...['Europe/Berlin', 'Africa/Cairo', 'Africa/Casablanca', 'Pacific/Apia', 'America/Sao_Paulo', 'Antarctica/Troll'],
];
const anyTime = fc.integer({ min: at('2005-01-01T00:00:00Z') / minuteMs, max: at('2030-01-01T00:00:00Z') / minuteMs });

it('yesterday is the last day that there was, where a day was left out of the calendar', () => {
  const now = at('2011-12-30T10:00:00Z');
  const { from, to } = rangeOf({ range: 'yesterday' }, 'Pacific/Apia', now);
  expect([from, to].map(time => new Date(time).toISOString())).toEqual([
    '2011-12-29T10:00:00.000Z',
    '2011-12-30T10:00:00.000Z',
  ]);
});

describe.each(zones)('in %s', zone => {
  it('a day of the calendar begins and ends when it does for the server', () => {
    fc.assert(
      fc.property(anyTime, minute => {
        const now = minute * minuteMs;
        const { from, to } = rangeOf({ range: 'yesterday' }, zone, now);
        const borders = bordersIn({ from: now - 3 * 24 * hourMs, to: now }, 'day', zoneOf(zone));
        expect([from, to]).toEqual(borders.slice(-2));
      }),
      { numRuns: 40 },
    );
  });

  it('the server answers for a day or a month with whole hours or whole days', () => {
    fc.assert(
      fc.property(anyTime, fc.constantFrom('yesterday', 'last-week', 'last-month'), (minute, name) => {
        const { from, to, granularity } = rangeOf({ range: name }, zone, minute * minuteMs);
        const { range, step } = stepsOfRange({ from: `${from}`, to: `${to}` }, granularity, zone, rules);
        expect(range).toEqual({ from, to });
        if (granularity === 'minute') throw new Error('a day is not shown by the minute');
        const borders = bordersIn(range, granularity, zoneOf(zone));
        expect([borders[0], borders.at(-1)]).toEqual([from, to]);
        expect(stepsOf(range, step).map(one => one.from)).toEqual(borders.slice(0, -1));
      }),
      { numRuns: 25 },
    );
  });

  it('last week is the seven days from a Monday to the Sunday before this week', () => {
    fc.assert(
      fc.property(anyTime, minute => {
        const now = minute * minuteMs;
        const { from, to } = rangeOf({ range: 'last-week' }, zone, now);
        const dateOf = (time: number) => {
          const { year, month, day } = dateAt(time, zone);
          return Date.UTC(year, month - 1, day);
        };
        const weekday = (time: number) => new Date(dateOf(time)).getUTCDay();
        expect([weekday(from), weekday(to)]).toEqual([1, 1]);
        expect([from, to]).toEqual([from, to].map(time => startOfDay(dateAt(time, zone), zone)));
        // By the calendar: Apia had no 30 December 2011, so that week had six days.
        expect(dateOf(to) - dateOf(from)).toBe(7 * 24 * hourMs);
        expect(to <= now && now - to < 7 * 24 * hourMs + 3 * hourMs).toBe(true);
      }),
      { numRuns: 40, examples: [[22_090_200]] },
    );
  });

  it('a range up to now ends with the running minute and is exact to the minute', () => {
    fc.assert(
      fc.property(anyTime, fc.constantFrom('15m', '1h', '6h', '24h', '7d', '31d'), (minute, range) => {
        const now = minute * minuteMs + 23_456;
        const { from, to, isMoving } = rangeOf({ range }, zone, now);
        expect([to - now > 0, to - now <= minuteMs, isMoving]).toEqual([true, true, true]);
        const [, count, unit] = /^(\d+)([mhd])$/.exec(range) ?? [];
        expect(to - from).toBe(Number(count) * { m: minuteMs, h: hourMs, d: 24 * hourMs }[unit as 'm' | 'h' | 'd']);
      }),
      { numRuns: 20 },
    );
  });

  it('the time on the clock leads back to the moment, and each moment of a time shows that time', () => {
    fc.assert(
      fc.property(anyTime, minute => {
        const moments = momentsOf(wallTime(minute * minuteMs, zone), zone);
        expect(moments).toContain(minute * minuteMs);
        for (const moment of moments) expect(wallTime(moment, zone)).toBe(wallTime(minute * minuteMs, zone));
      }),
      { numRuns: 60 },
    );
  });

  it('a moment is written with the offset of the zone, and the API reads the same moment', () => {
    fc.assert(
      fc.property(anyTime, minute => {
        const text = isoIn(minute * minuteMs, zone);
        expect(text.startsWith(wallTime(minute * minuteMs, zone))).toBe(true);
        expect(parseTime(text)).toBe(minute * minuteMs);
      }),
    );
  });

  it('a day begins on its date, and the minute before belongs to another date', () => {
    fc.assert(
      fc.property(anyTime, minute => {
        const date = dateAt(minute * minuteMs, zone);
        const start = startOfDay(date, zone);
        expect(start).toBeLessThanOrEqual(minute * minuteMs);
        expect(dateAt(start, zone)).toEqual(date);
        expect(dateAt(start - minuteMs, zone)).not.toEqual(date);
      }),
      { numRuns: 40 },
    );
  });
});

describe('a range', () => {
  it.each(['constructor', 'toString', '__proto__', '2h'])('with an unknown name is the last hour: %s', range => {
    const now = at('2026-03-01T10:00:30Z');
    expect(rangeOf({ range }, 'UTC', now)).toEqual(rangeOf({}, 'UTC', now));
    expect(wrongRange({ range })).toContain(`“${range}”, which is no known range: this is “1h”`);
  });

  it.each([
    [{ from: '2026-03-01T10:00:00Z' }, 'to “”, which is no range of time: this is “1h”'],
    [{ from: '2026-03-01T10:00:00Z', to: '2026-03-01T1' }, 'this is “1h”'],
    [{ from: '2026-03-02T10:00:00Z', to: '2026-03-01T10:00:00Z', range: '7d' }, 'this is “7d”'],
    [{ from: 'x', to: 'y', range: 'today' }, 'this is “Today”'],
    [{ from: 'x', to: 'y', range: '2h' }, 'this is “1h”'],
  ])('that is not one says so: %j', (address, words) => {
    expect(wrongRange(address)).toContain(words);
  });

  it.each([{}, { range: '1h' }, { range: 'today' }, { from: '2026-03-01T10:00:00Z', to: '2026-03-01T10:01:00Z' }])(
    'that is one says nothing: %j',
    address => {
      expect(wrongRange(address)).toBe('');
    },
  );

  it.each([
    ['2026-03-01T10:07:00Z', '2026-03-01T18:31:00Z', 'hour'],
    ['2026-03-01T10:07:00Z', '2026-03-20T18:31:00Z', 'day'],
    ['2026-03-01T10:07:00Z', '2026-03-01T10:08:00Z', 'minute'],
  ])('from %s to %s stays exact, though its bars are by the %s', (from, to, granularity) => {
    const range = rangeOf({ from, to }, 'Asia/Kolkata');
    expect(range).toEqual({ from: at(from), to: at(to), granularity, isMoving: false });
  });

  it.each([
    ['America/New_York', '2025-11-03T12:00:00Z', 25],
    ['America/New_York', '2025-03-10T12:00:00Z', 23],
    ['Australia/Lord_Howe', '2025-10-06T05:00:00Z', 23.5],
    ['Australia/Lord_Howe', '2025-04-07T05:00:00Z', 24.5],
    ['Asia/Kolkata', '2025-11-03T12:00:00Z', 24],
  ])('of yesterday in %s, asked on %s, has %d hours', (zone, now, hours) => {
    const { from, to } = rangeOf({ range: 'yesterday' }, zone, at(now));
    expect((to - from) / hourMs).toBe(hours);
  });

  it('of last month is that month, also in January, and is an hour longer if clocks are put back', () => {
    const kolkata = rangeOf({ range: 'last-month' }, 'Asia/Kolkata', at('2026-01-01T00:00:00Z'));
    expect(kolkata).toMatchObject({ from: at('2025-12-01T00:00:00+05:30'), to: at('2026-01-01T00:00:00+05:30') });
    const berlin = rangeOf({ range: 'last-month' }, 'Europe/Berlin', at('2025-11-15T00:00:00Z'));
    expect((berlin.to - berlin.from) / hourMs).toBe(31 * 24 + 1);
  });
});

describe('a time on the clock of a zone', () => {
  it('that occurs twice is two moments, and one that does not occur is none', () => {
    expect(momentsOf('2025-11-02T01:30', 'America/New_York').map(moment => new Date(moment).toISOString())).toEqual([
      '2025-11-02T05:30:00.000Z',
      '2025-11-02T06:30:00.000Z',
    ]);
    expect(momentsOf('2025-03-09T02:30', 'America/New_York')).toEqual([]);
    expect(momentsOf('2025-10-05T02:15', 'Australia/Lord_Howe')).toEqual([]);
    expect(momentsOf('', 'UTC')).toEqual([]);
  });

  it('is shown with its offset', () => {
    expect(offsetText(at('2025-11-02T05:30:00Z'), 'America/New_York')).toBe('UTC−04:00');
    expect(offsetText(at('2025-11-02T06:30:00Z'), 'Asia/Kolkata')).toBe('UTC+05:30');
  });

  it('can be of any zone, by its current name', () => {
    expect(zoneNames()).toEqual(expect.arrayContaining(['UTC', 'Asia/Kolkata', 'Australia/Lord_Howe']));
    expect(zoneNames()).not.toContain('Asia/Calcutta');
  });
});
