/**
 * CONTRACT: defines the result of a recount of final minutes, and the rows that are written where it differs from
 * earlier answers.
 *
 * A recount feeds all raw clicks of a minute through the same core as the stream. Where the clicks of a cell (minute,
 * ad, country) differ, or which of them are invalid, or the version of the rules that says so, the cell gets new rows
 * with the next revision, and one row of `restatement` that contains them.
 * All changes of a job in one minute become visible at once, with one row of `recounted_minute`.
 */
import type { AdMinuteRow, InvalidBy, Judged } from './ad-minute.ts';

/**
 * Why a final count was changed: by clicks that came too late, because caps had been applied to the clicks of a split ad
 * in each partition alone, by a replay that a person asked for, by a reconciliation, or by a replay that judges clicks by
 * other rules.
 */
export type RestatementReason = 'late' | 'split' | 'replay' | 'reconcile' | 'rules';

/** A row of `ad_minute` as a recount compares it. `revision` is `version >> 48`. */
export interface StatedRow extends Omit<AdMinuteRow, 'version'> {
  readonly revision: number;
}

/** A cell that differs between the stream and the recount. */
export interface CellChange {
  /** Epoch seconds. */
  readonly minute: number;
  readonly ad_id: string;
  readonly country: string;
  /** The next revision of the cell. */
  readonly revision: number;
  readonly before: number;
  readonly after: number;
  readonly before_duplicates: number;
  readonly after_duplicates: number;
  /** The clicks in `before` that were invalid, by reason, and the version of the rules that said so. */
  readonly before_invalid: number;
  readonly before_invalid_by: InvalidBy;
  readonly before_rules: number;
  readonly after_invalid: number;
  readonly after_invalid_by: InvalidBy;
  readonly after_rules: number;
  /**
   * The rows that the new ones replace. Before the first revision, these are the stream's counts and the partitions
   * they are in.
   */
  readonly stated: readonly Pick<AdMinuteRow, 'partition' | 'clicks' | 'duplicates'>[];
  /** What rules had found in each row of `stated`, in the same order. */
  readonly stated_judged: readonly Judged[];
  /**
   * All rows of the cell, written again. The counts are in the partition of the ad, and any other partition has zeroes.
   */
  readonly rows: readonly Pick<AdMinuteRow, 'partition' | 'clicks' | 'duplicates' | 'late'>[];
  /** What rules find in each row of `rows`, in the same order. Rows of zeroes have the version too. */
  readonly rows_judged: readonly Judged[];
}

/** A row of `ad_minute` from a recount. Its version is in a form that JSON can hold (`versionOf`). */
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
  /** Epoch ms. This and `job` are equal to those of the restatement's rows. */
  readonly at: number;
  readonly job: string;
  /** The number of `restatement` rows that this row makes visible. */
  readonly cells: number;
  /** By partition of topic `clicks`: `click_raw` held all clicks before this offset when the minute was recounted. */
  readonly read_until: Readonly<Record<string, number>>;
  /** 1 once `ad_minute` has the rows. */
  readonly settled: 0 | 1;
}

/**
 * Returns the `version` of a restated row, in a form that JSON can hold. Live counting has revision 0 and an offset in
 * the low 48 bits. Here those bits hold the time of the recount, so that a recount that is run again wins over what an
 * earlier one left half done.
 */
export function versionOf(revision: number, at: number): string {
  return String((BigInt(revision) << 48n) | BigInt(at));
}
