/** What is stored beside a committed position of a partition, so that its state can be rebuilt from the log. */
import type { Progress } from '../ad-minute.ts';
import { type AckState, noAcks, unknownAcks } from './acknowledgements.ts';

/** The checkpoint that is stored with a committed position C. It is enough to rebuild the state at C from the log. */
export interface Checkpoint {
  /** The first offset with a click of a window that is not final at C. If there is none, it is C itself. */
  readonly restoreFrom: number;
  /** The watermark just before that record. */
  readonly watermarkAtRestoreFrom: number;
  /**
   * The watermark and the end of the last final window, as reported at C. Reading again leads to the same values,
   * unless the out-of-orderness bound or the lateness was configured differently in between. Then the reported values
   * stay.
   */
  readonly watermark: number;
  readonly finalUntil: number;
  readonly totals: Totals;
  /**
   * In minutes from this time on (epoch ms), a click is identified by its ad and its event id. In earlier minutes it
   * was identified by its event id, whatever the ad.
   *
   * The time is a whole minute, and never one that had clicks before the change, so every minute is counted by one
   * rule. It is undefined when a release that knows only the older rule wrote the checkpoint. Then the task that
   * restores from it chooses the time.
   */
  readonly idsPerAdFrom: number | undefined;
  /** The acknowledgements in all records before C. */
  readonly acks: AckState;
}

/** Lines since the beginning of the log. */
export interface Totals {
  readonly received: number;
  readonly counted: number;
  readonly duplicates: number;
  readonly quarantined: number;
  /** Lines, among those in `counted`, that are invalid. */
  readonly invalid: number;
}

/** The checkpoint at the beginning of a log that starts at offset `position`. */
export function freshCheckpoint(position: number): Checkpoint {
  // Records that retention has removed may have contained batches.
  const acks = position === 0 ? noAcks : unknownAcks;
  const times = { watermarkAtRestoreFrom: 0, watermark: 0, finalUntil: 0, idsPerAdFrom: 0 };
  return { restoreFrom: position, ...times, totals: noTotals, acks };
}

const noTotals: Totals = { received: 0, counted: 0, duplicates: 0, quarantined: 0, invalid: 0 };

/** Returns where a reader must begin to know all clicks of the windows, and the watermark there. */
export function restorePoint(
  windows: Iterable<{ readonly firstOffset: number; readonly watermarkBefore: number }>,
  { position, watermark }: { readonly position: number; readonly watermark: number },
): Pick<Checkpoint, 'restoreFrom' | 'watermarkAtRestoreFrom'> {
  let restoreFrom = position;
  let watermarkAtRestoreFrom = watermark;
  for (const { firstOffset, watermarkBefore } of windows) {
    if (firstOffset >= restoreFrom) continue;
    restoreFrom = firstOffset;
    watermarkAtRestoreFrom = watermarkBefore;
  }
  return { restoreFrom, watermarkAtRestoreFrom };
}

/** The public part of the checkpoint. */
export function progressOf(
  { watermark, finalUntil, totals, idsPerAdFrom, acks }: Checkpoint,
  at: { readonly partition: number; readonly position: number; readonly appendedAt: number },
): Omit<Progress, 'partitions'> {
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
