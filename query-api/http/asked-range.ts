/** Converts query parameters to a half-open range of whole minutes. */

import { shown } from '../../infra/broken-rule.ts';
import { invalid } from '../../infra/problem.ts';
import { parseTime } from '../../ingest/click.ts';
import { type Granularity, minuteMs, stepsMs, type TimeRange } from '../time/time-range.ts';

export interface AskedRange {
  readonly from?: string | undefined;
  readonly to?: string | undefined;
}

export interface RangeRules {
  readonly now: number;
  readonly maxMinutes: number;
}

/** Returns `from` and `to` as given, or the last full minute when both are left out. `fields` has their names. */
export function rangeOf(asked: AskedRange, rules: RangeRules, fields = { from: 'from', to: 'to' }): TimeRange {
  return given(asked, rules, fields) ?? lastMinutes(1, rules);
}

/** Returns the last `window` full minutes, or `from` and `to`. A request must not give both. */
export function windowOf(asked: AskedRange & { readonly window?: number | undefined }, rules: RangeRules): TimeRange {
  if (asked.window === undefined) return rangeOf(asked, rules);
  if (asked.from !== undefined || asked.to !== undefined) {
    throw invalid(
      'window',
      asked.window,
      'cannot be used together with from and to',
      'use either window or from and to',
    );
  }
  return lastMinutes(asked.window, rules);
}

/**
 * Returns `from` and `to` as given, for every granularity. When both are left out, the range is as many units as
 * `defaultUnitsOf` says. It ends with the last full minute, or with the current hour or day in UTC.
 */
export function seriesRangeOf(asked: AskedRange, granularity: Granularity, rules: RangeRules): TimeRange {
  const range = given(asked, rules);
  if (range) return range;
  const step = stepsMs[granularity];
  const to = granularity === 'minute' ? floorTo(rules.now, step) : floorTo(rules.now, step) + step;
  return { from: to - defaultUnitsOf(granularity, rules) * step, to };
}

/** Returns how many points a series has when the request names no range. A request may not ask for more than `maxMinutes`. */
export function defaultUnitsOf(granularity: Granularity, { maxMinutes }: RangeRules): number {
  return Math.max(1, Math.min(defaultUnits[granularity], Math.floor((maxMinutes * minuteMs) / stepsMs[granularity])));
}

/** Returns the last 24 hours with the current minute, or less if `maxMinutes` is less. */
export function searchRangeOf({ now, maxMinutes }: RangeRules): TimeRange {
  const to = floorTo(now, minuteMs) + minuteMs;
  return { from: to - Math.min(1_440, maxMinutes) * minuteMs, to };
}

/** Returns a moment that is not in the future, or undefined when none is given. */
export function momentOf(field: string, text: string | undefined, { now }: RangeRules): number | undefined {
  if (text === undefined) return undefined;
  const at = parsed(field, text);
  if (at > now) throw invalid(field, text, 'must not be in the future');
  return at;
}

/** Returns a moment in epoch ms, which may lie in the future, or undefined if none is given. */
export function anyMomentOf(field: string, text: string | undefined): number | undefined {
  return text === undefined ? undefined : parsed(field, text);
}

/**
 * Returns a range in milliseconds that need not be whole minutes. By default `from` is 0 and `to` is now. `to` is
 * never later than now.
 */
export function spanOf(asked: AskedRange, { now }: Pick<RangeRules, 'now'>): TimeRange {
  const from = asked.from === undefined ? 0 : parsed('from', asked.from);
  const to = asked.to === undefined ? now : Math.min(now, parsed('to', asked.to));
  if (from < to) return { from, to };
  throw invalid('from', asked.from, `must be before to and before now (${new Date(to).toISOString()})`);
}

const defaultUnits = { minute: 60, hour: 24, day: 31 } as const satisfies Record<Granularity, number>;

/** The last day that ClickHouse's DateTime can hold begins here. */
const endOfTimeMs = floorTo(2 ** 32 * 1_000, stepsMs.day);

function lastMinutes(minutes: number, { now, maxMinutes }: RangeRules): TimeRange {
  if (minutes > maxMinutes) throw invalid('window', minutes, `must be at most ${lengthOf(maxMinutes)}`);
  const to = floorTo(now, minuteMs);
  return { from: to - minutes * minuteMs, to };
}

function given(
  asked: AskedRange,
  { maxMinutes }: RangeRules,
  fields = { from: 'from', to: 'to' },
): TimeRange | undefined {
  if (asked.from === undefined && asked.to === undefined) return undefined;
  if (asked.to === undefined) throw invalid(fields.to, undefined, `must be given together with ${fields.from}`);
  if (asked.from === undefined) throw invalid(fields.from, undefined, `must be given together with ${fields.to}`);
  const from = wholeMinuteOf(fields.from, asked.from);
  const to = wholeMinuteOf(fields.to, asked.to);
  if (from >= to) throw invalid(fields.from, asked.from, `must be before ${fields.to}, which is ${shown(asked.to)}`);
  const minutes = (to - from) / minuteMs;
  if (minutes > maxMinutes) {
    const rule = `must be at most ${lengthOf(maxMinutes)} after ${fields.from}, and is ${lengthOf(minutes)} after it`;
    throw invalid(fields.to, asked.to, rule, 'ask for a shorter range, or for several');
  }
  return { from, to };
}

function parsed(field: string, text: string): number {
  const at = parseTime(/^\d+$/.test(text) ? Number(text) : text);
  if (at === undefined)
    throw invalid(field, text, timeRule, text.includes(' ') ? 'in a URL, + is written as %2B' : undefined);
  return at;
}

const timeRule = 'must be a time with a zone, such as 2026-01-01T12:00:00Z (RFC 3339), or epoch milliseconds';

/** Returns the time in epoch ms, which must be a whole minute. */
export function wholeMinuteOf(field: string, text: string): number {
  const at = parsed(field, text);
  if (at > endOfTimeMs) throw invalid(field, text, `must not be after ${new Date(endOfTimeMs).toISOString()}`);
  if (at % minuteMs !== 0) {
    const [before, after] = [floorTo(at, minuteMs), floorTo(at, minuteMs) + minuteMs].map(secondsOf);
    throw invalid(field, text, `must be a whole minute in UTC, as ${before} and ${after} are`);
  }
  return at;
}

function floorTo(ms: number, stepMs: number): number {
  return Math.floor(ms / stepMs) * stepMs;
}

/** Returns a length in the largest unit that divides it, such as `45 minutes`, `36 hours` or `31 days`. */
function lengthOf(minutes: number): string {
  if (minutes % 1_440 === 0 && minutes > 1_440) return `${minutes / 1_440} days`;
  if (minutes % 60 === 0 && minutes > 60) return `${minutes / 60} hours`;
  return `${minutes} minutes`;
}

function secondsOf(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z');
}
