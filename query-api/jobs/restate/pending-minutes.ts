/** Says which minutes are about to be restated, so that whoever compares them waits: for late clicks, or for a split ad. */
import type { SplitReading } from '../../store/split-clicks.ts';
import type { LateMinutes } from './late-minutes.ts';

/** Returns minutes of a range of final minutes, all in epoch ms. */
export type PendingMinutes = (from: number, to: number) => Promise<readonly number[]>;

export function createPendingMinutes(
  lateMinutes: Pick<LateMinutes, 'pending'>,
  splitClicks: SplitReading,
): PendingMinutes {
  return async (from, to) => {
    const late = await lateMinutes.pending(from, to);
    const split = await splitClicks(to);
    return [...late.map(({ minute }) => minute), ...split.minutes.filter(minute => minute >= from && minute < to)];
  };
}
