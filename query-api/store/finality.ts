/**
 * Decides how final a number is, from the progress of all partitions.
 *
 * A handler reads progress BEFORE it reads counts. Counts only become newer between the two reads, so an answer may be
 * fresher than it claims. In the other order, a count that was read before the last late click could be called final,
 * because progress was read after that click. (For the same reason the sink inserts rows before the progress that
 * covers them.)
 *
 * Restatements are read together with the counts, at one moment (`stated-rows.ts`). Either all changes of a job in a
 * minute are in the counts and make the state `restated`, or none of them is.
 *
 * Late clicks that wait for their restatement do not change the state. `final` says that only a restatement will change
 * the number. `pending_late` beside it says that a restatement is coming, and how many clicks it can add at most
 * (`late-clicks.ts`). If such a range were provisional, a client that sends one late click each minute could keep the
 * totals of all ads from ever being final. It could also take back the word `final` after a bill was based on it. So
 * `final` or `restated` with `pending_late: 0` lacks no click, as far as the pipeline knows. With a higher `pending_late`
 * it is what has been stated so far.
 *
 * Clicks of split ads to which caps were applied in each partition alone are told in the same way (`pending_split`, see
 * `split-clicks.ts`): a restatement is coming, which can find at most so many more of them to be invalid. So a number is
 * complete when both are 0.
 *
 * What waits is also read BEFORE counts. A restatement that becomes visible in between is then in the count, and its
 * clicks are reported as waiting for a moment too long. In the other order they could be in neither.
 */
import type { Progress } from '../../aggregator/ad-minute.ts';

/**
 * A provisional number may still grow. A final one can only be changed by a recount of raw clicks. A restated one was
 * changed in that way.
 */
export type State = 'provisional' | 'final' | 'restated';

export interface Finality {
  /** No click older than this is expected in any partition. Null while some partition has no progress yet. */
  readonly watermark: number | null;
  /** A range that ends at or before this time is final. Null while nothing is final. */
  readonly finalUntil: number | null;
}

/** `isAsked` selects partitions. The default is all of them. */
export function finalityOf(
  progress: readonly Progress[],
  isAsked: (partition: number) => boolean = () => true,
): Finality {
  // Every wanted partition must be present. Their number is not enough, because a new partition that is not in use yet
  // cannot stand in for another one.
  const present = new Set(progress.map(row => row.partition));
  const partitions = partitionsOf(progress);
  let wanted = 0;
  for (let partition = 0; partition < partitions; partition++) {
    if (!isAsked(partition)) continue;
    if (!present.has(partition)) return { watermark: null, finalUntil: null };
    wanted++;
  }
  if (wanted === 0) return { watermark: null, finalUntil: null };
  // 0 means "not known yet" in both columns.
  return {
    watermark: Math.min(...progress.map(row => row.watermark)) || null,
    finalUntil: Math.min(...progress.map(row => row.final_until)) || null,
  };
}

/**
 * Returns the number of partitions over which clicks up to the watermarks may be spread. While the number grows, rows
 * have different numbers. The highest one holds for the partition that is furthest, and is safe for all others.
 */
export function partitionsOf(progress: readonly Progress[]): number {
  return Math.max(0, ...progress.map(row => row.partitions));
}

/**
 * Returns the finality of numbers that were counted from raw clicks. `differs` says that these may not be the clicks
 * that were counted: raw may be behind, or it has a click that came too late and waits for its restatement. Then
 * nothing is final, and it is not known how far the numbers are.
 */
export function finalityOfRaw(finality: Finality, differs: boolean): Finality {
  return differs ? { watermark: null, finalUntil: null } : finality;
}

/** Returns the state of a range that ends before `end`, in epoch ms. */
export function stateAt({ finalUntil }: Finality, end: number, isRestated = false): State {
  if (finalUntil === null || end > finalUntil) return 'provisional';
  return isRestated ? 'restated' : 'final';
}
