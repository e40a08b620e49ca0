/** Sums up clicks that wait for a restatement, for the ads and ranges that answers are about. Pure. */
import type { TimeRange } from '../time/time-range.ts';

/** How many clicks of an ad and a minute wait. */
export interface WaitingClicks {
  /** Epoch ms. */
  readonly minute: number;
  /** Empty when there are too many pairs of minute and ad. Then the clicks may belong to any ad. */
  readonly ad_id: string;
  readonly clicks: number;
}

/**
 * Returns a function that sums up the clicks of these ads (empty: of all ads) in a range. It goes through the rows once,
 * so that it may be called for each step of a series. `rows` must be in the order of minutes.
 */
export function waitingOf(rows: readonly WaitingClicks[], adIds: readonly string[]): (range: TimeRange) => number {
  const asked = adIds.length === 0 ? rows : rows.filter(({ ad_id }) => ad_id === '' || adIds.includes(ad_id));
  // sums[i] is the sum of the first i rows.
  const sums = [0];
  for (const { clicks } of asked) sums.push((sums.at(-1) ?? 0) + clicks);
  const before = (time: number) => sums[indexOf(asked, time)] ?? 0;
  return ({ from, to }) => before(to) - before(from);
}

/** Returns how many of the rows, which are in order, are before a time. */
function indexOf(rows: readonly WaitingClicks[], time: number): number {
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((rows[middle]?.minute ?? 0) < time) low = middle + 1;
    else high = middle;
  }
  return low;
}
