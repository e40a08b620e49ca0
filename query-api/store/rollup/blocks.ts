/**
 * Pure: which part of a range is read from hours, from minutes of the roll-up, and from rows. A block is a minute or an
 * hour that is worked out beforehand and up to date. What is in no block is read from the minutes' rows, so the answer
 * is the same whatever blocks there are.
 */
import { minuteMs, stepsMs, type TimeRange } from '../../time/time-range.ts';

export interface Blocks {
  /** Begins of hours and minutes that can be used, epoch ms. */
  readonly hours: ReadonlySet<number>;
  readonly minutes: ReadonlySet<number>;
}

/** Each in order, neighbours together; all three make up the range. */
export interface Plan {
  readonly hours: readonly TimeRange[];
  readonly minutes: readonly TimeRange[];
  readonly rest: readonly TimeRange[];
}

/** A row of table `most_clicked_ads`. */
export interface BlockRow {
  /** Minutes: 1, 5 or 60. */
  readonly window: number;
  /** Epoch ms, exclusive. */
  readonly ends: number;
  /** Restatements that were in its counts. */
  readonly restatements: number;
}

/** Restatements of a minute, epoch ms. */
export interface Told {
  readonly minute: number;
  readonly restatements: number;
}

export const hourMs = stepsMs.hour;

export function isWholeHour({ window, ends }: Pick<BlockRow, 'window' | 'ends'>): boolean {
  return window === 60 && ends % hourMs === 0;
}

/**
 * Those that know of all restatements. Of windows of 60 minutes only whole hours are blocks. A block has a row of each
 * shard, as each works out what its own clicks add up to.
 */
export function usableBlocks(rows: readonly BlockRow[], told: readonly Told[], shards = 1): Blocks {
  const ofMinute = new Map(told.map(({ minute, restatements }) => [minute, restatements]));
  const ofHour = new Map<number, number>();
  for (const { minute, restatements } of told) {
    const hour = minute - (minute % hourMs);
    ofHour.set(hour, (ofHour.get(hour) ?? 0) + restatements);
  }
  const [hours, minutes] = [new Map<number, number>(), new Map<number, number>()];
  const add = (found: Map<number, number>, start: number) => found.set(start, (found.get(start) ?? 0) + 1);
  for (const row of rows) {
    const start = row.ends - row.window * minuteMs;
    if (row.window === 1 && row.restatements === (ofMinute.get(start) ?? 0)) add(minutes, start);
    if (isWholeHour(row) && row.restatements === (ofHour.get(start) ?? 0)) add(hours, start);
  }
  const whole = (found: ReadonlyMap<number, number>) =>
    new Set([...found].filter(([, n]) => n === shards).map(([start]) => start));
  return { hours: whole(hours), minutes: whole(minutes) };
}

export function planOf({ from, to }: TimeRange, { hours, minutes }: Blocks): Plan {
  const plan = { hours: [] as TimeRange[], minutes: [] as TimeRange[], rest: [] as TimeRange[] };
  for (let at = from; at < to; ) {
    const isHour = at % hourMs === 0 && at + hourMs <= to && hours.has(at);
    const end = at + (isHour ? hourMs : minuteMs);
    extend(isHour ? plan.hours : minutes.has(at) ? plan.minutes : plan.rest, at, end);
    at = end;
  }
  return plan;
}

export function minutesOf(ranges: readonly TimeRange[]): number {
  return ranges.reduce((sum, { from, to }) => sum + (to - from) / minuteMs, 0);
}

function extend(ranges: TimeRange[], from: number, to: number): void {
  const last = ranges.at(-1);
  if (last?.to === from) ranges[ranges.length - 1] = { from: last.from, to };
  else ranges.push({ from, to });
}
