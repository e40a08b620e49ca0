/**
 * Pure: decides which parts of a range are read from hours and minutes of the roll-up, and which from rows. A block is a
 * minute or an hour that was computed beforehand and is up to date. Everything that is in no block is read from the rows
 * of the minutes, so the answer does not depend on which blocks exist.
 */
import { minuteMs, stepsMs, type TimeRange } from '../../time/time-range.ts';

export interface Blocks {
  /** The beginnings of usable hours and minutes, in epoch ms. */
  readonly hours: ReadonlySet<number>;
  readonly minutes: ReadonlySet<number>;
}

/** Each list is in order, with neighbours joined. Together the three lists make up the range. */
export interface Plan {
  readonly hours: readonly TimeRange[];
  readonly minutes: readonly TimeRange[];
  readonly rest: readonly TimeRange[];
}

/** A row of table `most_clicked_ads`. */
export interface BlockRow {
  /** In minutes: 1, 5 or 60. */
  readonly window: number;
  /** Epoch ms, exclusive. */
  readonly ends: number;
  /** The number of restatements that its counts include. */
  readonly restatements: number;
}

/** The number of restatements of a minute (epoch ms). */
export interface RestatedMinute {
  readonly minute: number;
  readonly restatements: number;
}

export const hourMs = stepsMs.hour;

export function isWholeHour({ window, ends }: Pick<BlockRow, 'window' | 'ends'>): boolean {
  return window === 60 && ends % hourMs === 0;
}

/**
 * Returns the blocks that include all restatements. Of windows of 60 minutes, only whole hours are blocks. A block needs
 * a row of each shard, because each shard computes the sums of its own clicks.
 */
export function usableBlocks(rows: readonly BlockRow[], restated: readonly RestatedMinute[], shards = 1): Blocks {
  const ofMinute = new Map(restated.map(({ minute, restatements }) => [minute, restatements]));
  const ofHour = new Map<number, number>();
  for (const { minute, restatements } of restated) {
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

function extend(ranges: TimeRange[], from: number, to: number): void {
  const last = ranges.at(-1);
  if (last?.to === from) ranges[ranges.length - 1] = { from: last.from, to };
  else ranges.push({ from, to });
}
