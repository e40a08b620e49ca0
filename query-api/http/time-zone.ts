/**
 * Computes where local hours and days begin. The offset of a time zone changes a few times a year. So a range is cut into
 * spans with one offset each, and inside a span the borders are simple arithmetic.
 *
 * An hour begins at each full local hour and at each clock change. When a clock is put back by half an hour, there are
 * two half hours. A day begins when its date is first reached. That is at midnight, or at the clock change that skips
 * midnight. When a clock is put back over midnight, the day continues.
 *
 * A range has exactly the minutes that were asked for. It is never widened to full hours or days: the first step begins
 * with the range, and the last step ends with it.
 *
 * The offsets come from `@date-fns/tz`. The borders are computed here, because `eachHourOfInterval` of date-fns leaves
 * out the hour that occurs twice, and `eachDayOfInterval` does not end when a zone skips midnight (decision 036).
 */
import { tzOffset } from '@date-fns/tz/tzOffset';
import { invalid } from '../../infra/problem.ts';
import type { Step } from '../time/steps.ts';
import { type Granularity, minuteMs, stepsMs, type TimeRange } from '../time/time-range.ts';
import { type AskedRange, defaultUnitsOf, type RangeRules, seriesRangeOf } from './asked-range.ts';

/** Returns the offset from UTC in ms, for a time in epoch ms. */
export type Zone = (at: number) => number;

/** Returns the range, and its steps by the clock of `timezone`. Undefined: UTC. */
export function stepsOfRange(
  asked: AskedRange,
  granularity: Granularity,
  timezone: string | undefined,
  rules: RangeRules,
): { readonly range: TimeRange; readonly step: Step } {
  const zone = timezone === undefined ? utc : zoneOf(timezone);
  if (granularity === 'minute') return { range: seriesRangeOf(asked, granularity, rules), step: minuteMs };
  const isAsked = asked.from !== undefined || asked.to !== undefined;
  // A month in which the clock is put back is longer than its days of 24 hours each.
  const longer = { ...rules, maxMinutes: rules.maxMinutes + (granularity === 'day' ? 180 : 0) };
  const range = isAsked || zone === utc ? seriesRangeOf(asked, granularity, longer) : lastIn(granularity, zone, rules);
  const stepMs = stepsMs[granularity];
  const isWhole = range.from % stepMs === 0 && range.to % stepMs === 0;
  if (zone === utc && isWhole) return { range, step: stepMs };
  const within = bordersIn(range, granularity, zone).filter(at => at > range.from && at < range.to);
  return { range, step: [range.from, ...within] };
}

const utc: Zone = () => 0;

/** Returns the current step and the steps before it. */
function lastIn(granularity: 'hour' | 'day', zone: Zone, rules: RangeRules): TimeRange {
  const units = defaultUnitsOf(granularity, rules);
  const length = stepsMs[granularity];
  const now = Math.floor(rules.now / minuteMs) * minuteMs;
  const borders = bordersIn({ from: now - (units + 2) * length, to: now + 2 * length }, granularity, zone);
  const end = borders.findIndex(at => at > now);
  return { from: borders[end - units] ?? now, to: borders[end] ?? now };
}

/**
 * Uses the name that Intl has for the zone. `tzOffset` keeps a formatter for each name that it ever got, and a client
 * could write one name in thousands of ways. @throws Problem when there is no such zone
 */
export function zoneOf(name: string): Zone {
  if (!/^[A-Za-z]/.test(name)) throw unknown(name);
  let known: string;
  try {
    known = new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone;
  } catch {
    throw unknown(name);
  }
  // Before 1972 a few zones had seconds in their offset. Rounding keeps borders at whole minutes.
  return at => Math.round(tzOffset(known, new Date(at))) * minuteMs;
}

/** Returns the borders of steps from `from` to `to`, both inclusive. */
export function bordersIn({ from, to }: TimeRange, granularity: 'hour' | 'day', zone: Zone): number[] {
  const borders: number[] = [];
  let date = Number.NEGATIVE_INFINITY;
  // It begins two days earlier, to know which date has already been reached.
  for (const span of spansIn({ from: from - 2 * stepsMs.day, to: to + 1 }, zone)) {
    for (const at of candidatesIn(span, granularity)) {
      const reached = Math.floor((at + span.offset) / stepsMs.day);
      const isBorder = granularity === 'hour' || reached > date;
      date = Math.max(date, reached);
      if (isBorder && at >= from && at <= to) borders.push(at);
    }
  }
  return borders;
}

interface Span extends TimeRange {
  readonly offset: number;
}

/** Yields the start of the span, which may be a clock change, and then each full hour or day of its clock. */
function* candidatesIn({ from, to, offset }: Span, granularity: 'hour' | 'day'): Generator<number> {
  const step = stepsMs[granularity];
  yield from;
  for (let at = Math.floor((from + offset) / step) * step + step - offset; at < to; at += step) yield at;
}

/** A zone changes its clock at most once in this time. */
const probeMs = stepsMs.day / 2;

function spansIn({ from, to }: TimeRange, zone: Zone): Span[] {
  const spans: Span[] = [];
  let start = from;
  let offset = zone(from);
  for (let at = from; at < to; at += probeMs) {
    const end = Math.min(to, at + probeMs);
    if (zone(end) === offset) continue;
    const change = changeBetween(at, end, zone);
    spans.push({ from: start, to: change, offset });
    start = change;
    offset = zone(end);
  }
  return [...spans, { from: start, to, offset }];
}

/** Returns the first whole minute with the later offset. */
function changeBetween(before: number, after: number, zone: Zone): number {
  let [low, high] = [Math.floor(before / minuteMs), Math.ceil(after / minuteMs)];
  const offset = zone(low * minuteMs);
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (zone(middle * minuteMs) === offset) low = middle;
    else high = middle;
  }
  return high * minuteMs;
}

function unknown(name: string) {
  return invalid('timezone', name, 'must be the name of an IANA time zone, such as Asia/Seoul');
}
