import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

interface Point {
  readonly start: string;
  readonly count: number;
  readonly state: string;
}
interface Merged {
  readonly points: readonly Point[];
}
const path = join(import.meta.dirname, '../../../../query-api/dashboard/series.js');
const { mergeLive }: { mergeLive(series: Merged, event: object, range: object): Merged | undefined } = await import(
  path
);

const minuteMs = 60_000;
const start = Date.parse('2026-03-01T10:00:00Z');
const iso = (minute: number) => new Date(start + minute * minuteMs).toISOString();
const point = (minute: number, count = minute): Point => ({ start: iso(minute), count, state: 'provisional' });
const eventOf = (minutes: readonly Point[], finalUntil: number, changed: readonly number[] = []) => ({
  ...{ minutes, final_until: iso(finalUntil), changes: changed.map(minute => ({ minute: iso(minute) })) },
});
const range = (from: number, to: number) => ({ from: start + from * minuteMs, to: start + to * minuteMs });

describe('a series that follows live events', () => {
  it('takes the newest minutes from the event, and marks how final each minute is', () => {
    const series = { points: [{ ...point(0), state: 'final' }, { ...point(1), state: 'final' }, point(2)] };
    const merged = mergeLive(series, eventOf([point(2, 9), point(3)], 3), range(1, 4));
    expect(merged?.points).toEqual([{ ...point(1), state: 'final' }, { ...point(2, 9), state: 'final' }, point(3)]);
  });

  it('is asked for again if an older minute has become final: its count may have grown since', () => {
    const series = { points: [point(0), point(1), point(2)] };
    const event = [point(2, 9), point(3)];
    expect(mergeLive(series, eventOf(event, 1), range(1, 4))?.points[0]?.state).toBe('provisional');
    expect(mergeLive(series, eventOf(event, 2), range(1, 4))).toBeUndefined();
  });

  it('is asked for again if an older minute was restated: the event does not tell its new count', () => {
    const series = { points: [{ ...point(1), state: 'final' }, point(2)] };
    expect(mergeLive(series, eventOf([point(2)], 2, [1]), range(1, 3))).toBeUndefined();
  });

  it('is asked for again if a minute is in neither: a missing minute is never shown as zero', () => {
    const series = { points: [point(0), point(1)] };
    expect(mergeLive(series, eventOf([point(8), point(9)], 0), range(0, 10))).toBeUndefined();
  });
});
