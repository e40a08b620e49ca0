/**
 * CONTRACT: what a recount of final minutes says, and what is written where it differs from what was answered.
 *
 * A recount feeds all raw clicks of a minute through the same core as the stream. Where the clicks of a cell (minute, ad,
 * country) differ, the cell gets new rows with the next revision, and one row of `restatement` that says so and has them.
 * What a job changes in a minute becomes visible at once, with one row of `recounted_minute`.
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

/** A row of `ad_minute` that a recount has found, its version as JSON takes it (`versionOf`). */
export interface RestatedRow extends Omit<AdMinuteRow, 'version'> {
  readonly version: string;
}

/** A row of table `restatement`. */
export interface RestatementRow extends CellChange {
  readonly job: string;
  readonly reason: RestatementReason;
  /** Epoch ms. */
  readonly at: number;
}

/** A row of table `recounted_minute`. */
export interface RecountedMinuteRow {
  /** Epoch seconds. */
  readonly minute: number;
  /** Epoch ms, and `job`: those of the restatement's rows. */
  readonly at: number;
  readonly job: string;
  /** How many rows of `restatement` it makes visible. */
  readonly cells: number;
  /** By partition of topic `clicks`: raw had all clicks before this offset when the minute was recounted. */
  readonly read_until: Readonly<Record<string, number>>;
  /** 1: `ad_minute` has the rows. */
  readonly settled: 0 | 1;
}

/**
 * `version` of a restated row, as JSON takes it. Live counting has revision 0 and an offset in the low 48 bits; here
 * these hold the time of the recount, so that a recount that is run again outdoes what the first one left half done.
 */
export function versionOf(revision: number, at: number): string {
  return String((BigInt(revision) << 48n) | BigInt(at));
}
