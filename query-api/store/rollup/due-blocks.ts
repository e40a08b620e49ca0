/** Pure: finds rows of `most_clicked_ads` that are missing, or older than a restatement in their window. */

import { minuteMs, type TimeRange } from '../../time/time-range.ts';
import { type BlockRow, isWholeHour, type RestatedMinute } from './blocks.ts';

export interface Due {
  readonly window: WindowMinutes;
  /** Epoch ms, exclusive. */
  readonly ends: number;
  /** The number of restatements in its window. */
  readonly restatements: number;
}

export const windows = [1, 5, 60] as const;
export type WindowMinutes = (typeof windows)[number];

/** The restatements of the longest window must be known, also for the window that ends with the first minute. */
export const lookBackMs = 60 * minuteMs;

/**
 * Returns the due blocks that end in (from, to], in the order in which they can be computed: minutes, whole hours,
 * windows. Longer blocks are made of shorter ones. `restated` must begin `lookBackMs` before `from`.
 */
export function dueBlocks(
  rows: readonly BlockRow[],
  restated: readonly RestatedMinute[],
  { from, to }: TimeRange,
): Due[] {
  const known = new Map(rows.map(row => [keyOf(row), row.restatements]));
  const restatedBefore = runningSums(restated, from - lookBackMs, to);
  const due: Due[] = [];
  for (let ends = from + minuteMs; ends <= to; ends += minuteMs) {
    for (const window of windows) {
      const restatements = restatedBefore(ends) - restatedBefore(ends - window * minuteMs);
      if (known.get(keyOf({ window, ends })) !== restatements) due.push({ window, ends, restatements });
    }
  }
  const rank = (block: Due) => (block.window === 1 ? 0 : isWholeHour(block) ? 1 : 2);
  return due.sort((a, b) => rank(a) - rank(b) || a.ends - b.ends);
}

function keyOf({ window, ends }: Pick<BlockRow, 'window' | 'ends'>): string {
  return `${window} ${ends}`;
}

/** Returns a function that counts the restatements of minutes from `from` to before a time. */
function runningSums(restated: readonly RestatedMinute[], from: number, to: number): (time: number) => number {
  const ofMinute = new Map(restated.map(({ minute, restatements }) => [minute, restatements]));
  const sums = [0];
  for (let minute = from; minute < to; minute += minuteMs) sums.push((sums.at(-1) ?? 0) + (ofMinute.get(minute) ?? 0));
  return time => sums[(time - from) / minuteMs] ?? 0;
}
