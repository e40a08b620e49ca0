/**
 * How final a number is, from the progress of all partitions.
 *
 * A handler reads progress BEFORE it reads counts. Counts only become newer between the two reads, so an answer may be
 * fresher than it claims; the other way round, a count read before the last late click could be called final by
 * progress that was read after it. (The sink inserts rows before the progress that covers them, for the same reason.)
 *
 * Restatements are read with the counts, as of one moment (`stated-rows.ts`): all that a job changes in a minute is in
 * the counts and makes the state `restated`, or none of it does either.
 *
 * Late clicks that wait for their restatement do not change a state. `final` says that only a restatement will change the
 * number, and `pending_late` beside it, that one is coming and by how many clicks at most (`late-clicks.ts`). Were such a
 * range provisional, who sends one late click a minute could keep the totals of all ads from ever being final, and take
 * back the word `final` after a bill was written by it. So: `final` or `restated` with `pending_late: 0` is complete, as
 * far as anybody knows; with more it is what has been stated so far. Late clicks are read BEFORE counts: a restatement
 * that comes in between is counted, and told as waiting for a moment longer, never the other way round.
 */
import type { Progress } from '../../aggregator/ad-minute.ts';

/** provisional: clicks may still be added. final: only a recount from raw data could change it. restated: one has. */
export type State = 'provisional' | 'final' | 'restated';

export interface Finality {
  /** No click older than this is expected in any partition; null = some partition has not told anything yet. */
  readonly watermark: number | null;
  /** What ends at or before this is final; null = nothing is. */
  readonly finalUntil: number | null;
}

/** `isAsked`: where those of some partitions are wanted alone. */
export function finalityOf(
  progress: readonly Progress[],
  isAsked: (partition: number) => boolean = () => true,
): Finality {
  // Each of them, not as many: a partition beyond, new and not in use yet, tells nothing in the place of another.
  const present = new Set(progress.map(row => row.partition));
  const partitions = partitionsOf(progress);
  let wanted = 0;
  for (let partition = 0; partition < partitions; partition++) {
    if (!isAsked(partition)) continue;
    if (!present.has(partition)) return { watermark: null, finalUntil: null };
    wanted++;
  }
  if (wanted === 0) return { watermark: null, finalUntil: null };
  // 0 stands for "not known yet" in both columns.
  return {
    watermark: Math.min(...progress.map(row => row.watermark)) || null,
    finalUntil: Math.min(...progress.map(row => row.final_until)) || null,
  };
}

/**
 * Over how many partitions clicks up to the watermarks may be spread. While the number grows, rows say different ones;
 * the greatest is true of the furthest of them, and too great for nobody.
 */
export function partitionsOf(progress: readonly Progress[]): number {
  return Math.max(0, ...progress.map(row => row.partitions));
}

/**
 * The finality of numbers that were counted from raw clicks. Where those are not the clicks that the counts are of, or
 * cannot be shown to be, nothing is final and nothing is known of how far they are: raw is behind, or it has one that
 * came too late and is not restated yet, which will change the counts.
 */
export function finalityOfRaw(finality: Finality, differs: boolean): Finality {
  return differs ? { watermark: null, finalUntil: null } : finality;
}

/** The state of what ends (exclusively) at `end`, epoch ms. */
export function stateAt({ finalUntil }: Finality, end: number, isRestated = false): State {
  if (finalUntil === null || end > finalUntil) return 'provisional';
  return isRestated ? 'restated' : 'final';
}
