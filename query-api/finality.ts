/**
 * How final a number is, from the progress of all partitions.
 *
 * A handler reads progress BEFORE it reads counts. Counts only become newer between the two reads, so an answer may be
 * fresher than it claims; the other way round, a count read before the last late click could be called final by
 * progress that was read after it. (The sink inserts rows before the progress that covers them, for the same reason.)
 *
 * Restatements are read AFTER counts: they are written before the counts they tell of, so a final number that has
 * changed is never called `final`.
 */
import type { Progress } from './queries.ts';

/** provisional: clicks may still be added. final: only a recount from raw data could change it. restated: one has. */
export type State = 'provisional' | 'final' | 'restated';

export interface Finality {
  /** No click older than this is expected in any partition; null = some partition has not told anything yet. */
  readonly watermark: number | null;
  /** What ends at or before this is final; null = nothing is. */
  readonly finalUntil: number | null;
}

/** Of counts (minute, ad, country): for how many raw has fewer clicks, and for how many it has others. */
export interface Standing {
  readonly behind: number;
  readonly differing: number;
}

export function finalityOf(progress: readonly Progress[]): Finality {
  const present = new Set(progress.map(row => row.partition)).size;
  const expected = Math.max(0, ...progress.map(row => row.partitions));
  if (present === 0 || present < expected) return { watermark: null, finalUntil: null };
  // 0 stands for "not known yet" in both columns.
  return {
    watermark: Math.min(...progress.map(row => row.watermark)) || null,
    finalUntil: Math.min(...progress.map(row => row.final_until)) || null,
  };
}

/**
 * The finality of numbers that were counted from raw clicks. Nothing of them is final that differs from the counts of
 * the same minutes: the one is behind the other, or a click that came too late is not restated yet. While raw lacks
 * clicks that are counted, nothing can be said about how far it is.
 */
export function finalityOfRaw({ watermark, finalUntil }: Finality, { behind, differing }: Standing): Finality {
  return { watermark: behind > 0 ? null : watermark, finalUntil: differing > 0 ? null : finalUntil };
}

/** The state of what ends (exclusively) at `end`, epoch ms. */
export function stateAt({ finalUntil }: Finality, end: number, isRestated = false): State {
  if (finalUntil === null || end > finalUntil) return 'provisional';
  return isRestated ? 'restated' : 'final';
}
