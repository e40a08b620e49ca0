/** Pure: which rows of `most_clicked_ads` are missing, or older than a restatement in their window. */

import { minuteMs, type TimeRange } from '../../time/time-range.ts';
import { type BlockRow, isWholeHour, type Told } from './blocks.ts';

export interface Due {
  readonly window: WindowMinutes;
  /** Epoch ms, exclusive. */
  readonly ends: number;
  /** That have been told in its window. */
  readonly restatements: number;
}

export const windows = [1, 5, 60] as const;
export type WindowMinutes = (typeof windows)[number];

/** For a window that ends with any minute there must be told what was restated in all of it. */
export const lookBackMs = 60 * minuteMs;

/**
 * Those that end in (from, to], in the order in which they can be worked out, as longer ones are made of shorter: minutes,
 * whole hours, windows. `told` begins `lookBackMs` before.
 */
export function dueBlocks(rows: readonly BlockRow[], told: readonly Told[], { from, to }: TimeRange): Due[] {
  const known = new Map(rows.map(row => [keyOf(row), row.restatements]));
  const toldBefore = runningSums(told, from - lookBackMs, to);
  const due: Due[] = [];
  for (let ends = from + minuteMs; ends <= to; ends += minuteMs) {
    for (const window of windows) {
      const restatements = toldBefore(ends) - toldBefore(ends - window * minuteMs);
      if (known.get(keyOf({ window, ends })) !== restatements) due.push({ window, ends, restatements });
    }
  }
  const rank = (block: Due) => (block.window === 1 ? 0 : isWholeHour(block) ? 1 : 2);
  return due.sort((a, b) => rank(a) - rank(b) || a.ends - b.ends);
}

function keyOf({ window, ends }: Pick<BlockRow, 'window' | 'ends'>): string {
  return `${window} ${ends}`;
}

/** How many were told of minutes before a time, from `from` on. */
function runningSums(told: readonly Told[], from: number, to: number): (time: number) => number {
  const ofMinute = new Map(told.map(({ minute, restatements }) => [minute, restatements]));
  const sums = [0];
  for (let minute = from; minute < to; minute += minuteMs) sums.push((sums.at(-1) ?? 0) + (ofMinute.get(minute) ?? 0));
  return time => sums[(time - from) / minuteMs] ?? 0;
}
