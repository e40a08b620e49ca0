/**
 * Where local hours and days begin. A zone's offset changes a few times a year, so a range is cut into spans of one
 * offset, in which it is arithmetic.
 *
 * A step begins at each whole local hour, and where the clock is changed (a zone that is put back by half an hour has
 * two half hours then). A day begins when its date is first reached: at midnight, or where there is none, when the
 * clock passes over it; if the clock is put back over midnight, the day goes on.
 *
 * A range is the minutes that were asked for, never widened to borders: its first step begins with the range, and its
 * last one ends with it.
 *
 * Offsets are those of `@date-fns/tz`. The borders are our own: `eachHourOfInterval` of date-fns leaves out the hour that
 * comes twice, and its `eachDayOfInterval` does not end where a zone skipped midnight itself (decision 036).
 */
import { tzOffset } from '@date-fns/tz/tzOffset';
import { invalid } from '../../infra/problem.ts';
import type { Step } from '../time/steps.ts';
import { type Granularity, minuteMs, stepsMs, type TimeRange } from '../time/time-range.ts';
import { type AskedRange, defaultUnitsOf, type RangeRules, seriesRangeOf } from './asked-range.ts';

/** Offset from UTC in ms at a time in epoch ms. */
export type Zone = (at: number) => number;

/** A range, and its steps by the clock of a zone; undefined: UTC. */
export function stepsOfRange(
  asked: AskedRange,
  granularity: Granularity,
  timezone: string | undefined,
  rules: RangeRules,
): { readonly range: TimeRange; readonly step: Step } {
  const zone = timezone === undefined ? utc : zoneOf(timezone);
  if (granularity === 'minute') return { range: seriesRangeOf(asked, granularity, rules), step: minuteMs };
  const isAsked = asked.from !== undefined || asked.to !== undefined;
  // A month in which the clock is put back is an hour longer than its days.
  const longer = { ...rules, maxMinutes: rules.maxMinutes + (granularity === 'day' ? 180 : 0) };
  const range = isAsked || zone === utc ? seriesRangeOf(asked, granularity, longer) : lastIn(granularity, zone, rules);
  const stepMs = stepsMs[granularity];
  const isWhole = range.from % stepMs === 0 && range.to % stepMs === 0;
  if (zone === utc && isWhole) return { range, step: stepMs };
  const within = bordersIn(range, granularity, zone).filter(at => at > range.from && at < range.to);
  return { range, step: [range.from, ...within] };
}

const utc: Zone = () => 0;

/** The running step and those before it. */
function lastIn(granularity: 'hour' | 'day', zone: Zone, rules: RangeRules): TimeRange {
  const units = defaultUnitsOf(granularity, rules);
  const length = stepsMs[granularity];
  const now = Math.floor(rules.now / minuteMs) * minuteMs;
  const borders = bordersIn({ from: now - (units + 2) * length, to: now + 2 * length }, granularity, zone);
  const end = borders.findIndex(at => at > now);
  return { from: borders[end - units] ?? now, to: borders[end] ?? now };
}

/**
 * By the name that Intl has for it: `tzOffset` keeps a formatter for each name that it was ever given, and a client could
 * write one in thousands of ways. @throws Problem where there is no such zone
 */
export function zoneOf(name: string): Zone {
  if (!/^[A-Za-z]/.test(name)) throw unknown(name);
  let known: string;
  try {
    known = new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone;
  } catch {
    throw unknown(name);
  }
  // Before 1972 a few zones had seconds in their offset: minutes are not cut.
  return at => Math.round(tzOffset(known, new Date(at))) * minuteMs;
}

/** Borders of steps from `from` to `to`, both inclusive. */
export function bordersIn({ from, to }: TimeRange, granularity: 'hour' | 'day', zone: Zone): number[] {
  const borders: number[] = [];
  let date = Number.NEGATIVE_INFINITY;
  // Two days before, to know which date has been reached.
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

/** Its begin, where the clock was changed, and each whole hour or day of its clock. */
function* candidatesIn({ from, to, offset }: Span, granularity: 'hour' | 'day'): Generator<number> {
  const step = stepsMs[granularity];
  yield from;
  for (let at = Math.floor((from + offset) / step) * step + step - offset; at < to; at += step) yield at;
}

/** Zones change their clock at most once in half a day. */
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

/** The first whole minute with the later offset. */
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
