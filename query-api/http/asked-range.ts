/** From query parameters to a half-open range of whole minutes. */

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

/** `from` and `to` as given; without both, the last full minute. `fields`: what the parameters are called. */
export function rangeOf(asked: AskedRange, rules: RangeRules, fields = { from: 'from', to: 'to' }): TimeRange {
  return given(asked, rules, fields) ?? lastMinutes(1, rules);
}

/** The last `minutes` full minutes, or `from` and `to`, but not both. */
export function windowOf(asked: AskedRange & { readonly window?: number | undefined }, rules: RangeRules): TimeRange {
  if (asked.window === undefined) return rangeOf(asked, rules);
  if (asked.from !== undefined || asked.to !== undefined) {
    throw invalid('window', asked.window, 'cannot stand beside from and to', 'give the one or the others');
  }
  return lastMinutes(asked.window, rules);
}

/** `from` and `to`, whatever the granularity; without both, so many units up to the last full minute, or with the running hour or day of UTC. */
export function seriesRangeOf(asked: AskedRange, granularity: Granularity, rules: RangeRules): TimeRange {
  const range = given(asked, rules);
  if (range) return range;
  const step = stepsMs[granularity];
  const to = granularity === 'minute' ? floorTo(rules.now, step) : floorTo(rules.now, step) + step;
  return { from: to - defaultUnitsOf(granularity, rules) * step, to };
}

/** Points of a series for which no range is asked, as far as a request may ask for so much. */
export function defaultUnitsOf(granularity: Granularity, { maxMinutes }: RangeRules): number {
  return Math.max(1, Math.min(defaultUnits[granularity], Math.floor((maxMinutes * minuteMs) / stepsMs[granularity])));
}

/** The last 24 hours with the running minute, or less where a request may not ask for so much. */
export function searchRangeOf({ now, maxMinutes }: RangeRules): TimeRange {
  const to = floorTo(now, minuteMs) + minuteMs;
  return { from: to - Math.min(1_440, maxMinutes) * minuteMs, to };
}

/** A moment up to now; undefined where none is given. */
export function momentOf(field: string, text: string | undefined, { now }: RangeRules): number | undefined {
  if (text === undefined) return undefined;
  const at = parsed(field, text);
  if (at > now) throw invalid(field, text, 'must not lie in the future');
  return at;
}

/** A moment, be it to come or not; undefined where none is given. */
export function anyMomentOf(field: string, text: string | undefined): number | undefined {
  return text === undefined ? undefined : parsed(field, text);
}

/** Any time up to now, by the millisecond: `from` (default: the beginning) to `to` (default, and at most: now). */
export function spanOf(asked: AskedRange, { now }: Pick<RangeRules, 'now'>): TimeRange {
  const from = asked.from === undefined ? 0 : parsed('from', asked.from);
  const to = asked.to === undefined ? now : Math.min(now, parsed('to', asked.to));
  if (from < to) return { from, to };
  throw invalid('from', asked.from, `must be before to and before now (${new Date(to).toISOString()})`);
}

const defaultUnits = { minute: 60, hour: 24, day: 31 } as const satisfies Record<Granularity, number>;

/** ClickHouse's DateTime ends here. */
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
  if (asked.to === undefined) throw invalid(fields.to, undefined, `must be, beside ${fields.from}`);
  if (asked.from === undefined) throw invalid(fields.from, undefined, `must be, beside ${fields.to}`);
  const from = timeOf(fields.from, asked.from);
  const to = timeOf(fields.to, asked.to);
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
    throw invalid(field, text, timeRule, text.includes(' ') ? 'in an address + is written %2B' : undefined);
  return at;
}

const timeRule = 'must be a time with its zone, like 2026-01-01T12:00:00Z (RFC 3339), or epoch milliseconds';

function timeOf(field: string, text: string): number {
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

/** 45 minutes, 36 hours, 31 days: in the largest unit that is whole. */
function lengthOf(minutes: number): string {
  if (minutes % 1_440 === 0 && minutes > 1_440) return `${minutes / 1_440} days`;
  if (minutes % 60 === 0 && minutes > 60) return `${minutes / 60} hours`;
  return `${minutes} minutes`;
}

function secondsOf(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z');
}
