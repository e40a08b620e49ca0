/**
 * CONTRACT: what a recount of final minutes says, and what is written where it differs from what was answered.
 *
 * A recount feeds all raw clicks of a minute through the same core as the stream. Where the clicks of a cell (minute, ad,
 * country) differ, the cell gets new rows with the next revision, and one row of `restatement` that says so.
 */
import type { AdMinuteRow } from './ad-minute.ts';

/** Why a count was changed after it was final: clicks that came too late, somebody's replay, or a reconciliation. */
export type RestatementReason = 'late' | 'replay' | 'reconcile';

/** A row of `ad_minute` as a recount compares it. `revision` is `version >> 48`. */
export interface StatedRow extends Omit<AdMinuteRow, 'version'> {
  readonly revision: number;
}

/** A cell whose clicks differ. */
export interface CellChange {
  /** Epoch seconds. */
  readonly minute: number;
  readonly ad_id: string;
  readonly country: string;
  /** The next one of the cell. */
  readonly revision: number;
  readonly before: number;
  readonly after: number;
  readonly before_duplicates: number;
  readonly after_duplicates: number;
  /** The rows that the new ones replace: before the first revision, what the stream has counted, and in which partition. */
  readonly stated: readonly Pick<AdMinuteRow, 'partition' | 'clicks' | 'duplicates'>[];
  /** All of the cell's rows anew: the counts stand in the partition of the ad, zeroes in any other. */
  readonly rows: readonly Omit<AdMinuteRow, 'minute' | 'ad_id' | 'country' | 'version'>[];
}

/** A row of table `restatement`. */
export interface RestatementRow extends Omit<CellChange, 'rows'> {
  readonly job: string;
  readonly reason: RestatementReason;
  /** Epoch ms. */
  readonly at: number;
}

/**
 * `version` of a restated row, as JSON takes it. Live counting has revision 0 and an offset in the low 48 bits; here
 * these hold the time of the recount, so that a recount that is run again outdoes what the first one left half done.
 */
export function versionOf(revision: number, at: number): string {
  return String((BigInt(revision) << 48n) | BigInt(at));
}
