/** What stands beside a committed position of a partition, so that its state can be rebuilt from the log. */
import type { ProgressRow } from '../ad-minute.ts';
import { type AckState, noAcks, unknownAcks } from './acknowledgements.ts';

/** What is stored beside a committed position C: enough to rebuild the state at C from the log. */
export interface Checkpoint {
  /** First offset that holds a click of a window not final at C; C itself if there is none. */
  readonly restoreFrom: number;
  /** The watermark just before that record. */
  readonly watermarkAtRestoreFrom: number;
  /**
   * The watermark and the end of the last final window, as reported at C. Re-reading arrives at the same, unless the
   * bound or the lateness were configured anew in between: then what was reported stays reported.
   */
  readonly watermark: number;
  readonly finalUntil: number;
  readonly totals: Totals;
  /**
   * In minutes from this on, epoch ms, a click is its ad and its event id; in earlier ones it was its event id, whatever
   * the ad. Whole minutes, and never one that had clicks before the change: so every minute is counted by one rule.
   * Undefined: written by a release that knows the older rule only; whoever restores from there decides it.
   */
  readonly idsPerAdFrom: number | undefined;
  /** Of all records before C. */
  readonly acks: AckState;
}

/** Lines since the beginning of the log. */
export interface Totals {
  readonly received: number;
  readonly counted: number;
  readonly duplicates: number;
  readonly quarantined: number;
}

/** The beginning of a log that starts at offset `position`. */
export function freshCheckpoint(position: number): Checkpoint {
  // What retention has removed may have told of batches.
  const acks = position === 0 ? noAcks : unknownAcks;
  const times = { watermarkAtRestoreFrom: 0, watermark: 0, finalUntil: 0, idsPerAdFrom: 0 };
  return { restoreFrom: position, ...times, totals: noTotals, acks };
}

const noTotals: Totals = { received: 0, counted: 0, duplicates: 0, quarantined: 0 };

/** What is told of C. */
export function progressOf(
  { watermark, finalUntil, totals, idsPerAdFrom, acks }: Checkpoint,
  at: { readonly partition: number; readonly position: number; readonly appendedAt: number },
): Omit<ProgressRow, 'partitions'> {
  return {
    partition: at.partition,
    position: at.position,
    watermark,
    final_until: finalUntil,
    appended_at: at.appendedAt,
    ...totals,
    acknowledged: acks.acknowledged,
    missing: acks.missing,
    ids_per_ad_from: idsPerAdFrom ?? null,
  };
}
