/**
 * CONTRACT: what the aggregator writes to its topics, in its transaction, and the sink copies into ClickHouse as it is.
 * All records are lines of JSON; their header `kind` tells which of these shapes the lines have, and `adclicks_format`
 * in which of its formats (infra/kafka/record-contract.ts). Times are epoch seconds in `minute` (a DateTime) and epoch ms
 * elsewhere.
 *
 * Progress and quarantined lines are objects: they may gain fields, which a store passes over that has no column of the
 * name yet, and a column may come that older writers do not fill. `ad-minute` lines are arrays of all columns of the
 * table: neither they nor the table's columns may change without another format.
 */

/** Values of the record header `kind` on topics `aggregates` and `quarantine`. */
export const recordKinds = { adMinute: 'ad-minute', progress: 'progress', quarantine: 'quarantine' } as const;

/** Of each kind, what is written. */
export const rowFormat = 1;

/** Of each kind, what this release reads. */
export const rowFormats: Readonly<Record<string, readonly number[]>> = {
  [recordKinds.adMinute]: [1],
  [recordKinds.progress]: [1],
  [recordKinds.quarantine]: [1],
};

/**
 * A true statement about a log prefix: "in `clicks[partition]` before offset `version`, this ad had `clicks` distinct
 * clicks from this country in this minute". Absolute, never an increment: a repeated or stale row does no harm, the
 * higher version wins. `version = revision << 48 | offset`; live counting writes revision 0.
 *
 * There is a row of these for almost every click, so a line is an array of the values in the order below, which is that of
 * the table's columns: 45 bytes where an object would take 125.
 */
export interface AdMinuteRow {
  readonly minute: number;
  readonly ad_id: string;
  readonly country: string;
  readonly partition: number;
  readonly version: number;
  readonly clicks: number;
  /** Further copies of clicks that are counted in `clicks`. */
  readonly duplicates: number;
  /** Those of `clicks` that arrived after the watermark had passed the end of the minute. */
  readonly late: number;
}

/** A line of a record of kind `ad-minute`, parsed. */
export type AdMinuteLine = readonly [
  minute: number,
  ad_id: string,
  country: string,
  partition: number,
  version: number,
  clicks: number,
  duplicates: number,
  late: number,
];

export function adMinuteRowOf(line: AdMinuteLine): AdMinuteRow {
  const [minute, ad_id, country, partition, version, clicks, duplicates, late] = line;
  return { minute, ad_id, country, partition, version, clicks, duplicates, late };
}

/** How far partition `partition` is counted; written after the rows it covers, in the same transaction. */
export interface ProgressRow {
  readonly partition: number;
  /**
   * Over how many the clicks up to `watermark` may be spread, as recorded (ingest/hot-ads/partition-rule.ts): only when
   * each of them has progress is anything known about all. Of several rows the greatest number holds. More than there
   * are where it is not known.
   */
  readonly partitions: number;
  /** Offset of the next record to count. */
  readonly position: number;
  /** No click older than this is expected; 0 = nothing is known yet. */
  readonly watermark: number;
  /** All minutes that end at or before this are final in this partition. */
  readonly final_until: number;
  /** Broker's time of the last record counted; 0 = none. */
  readonly appended_at: number;
  /** Lines since the beginning of the log. Always received = counted + duplicates + quarantined. */
  readonly received: number;
  readonly counted: number;
  readonly duplicates: number;
  readonly quarantined: number;
  /**
   * Lines that ingest was told are in the log, as later records say (ingest/ack-chain.ts). Those of the last batches are
   * not told of yet, those of other producers never.
   */
  readonly acknowledged: number;
  /** Those of them that are not in the log: lost. */
  readonly missing: number;
  /**
   * In minutes from this on (epoch ms) a click is its ad and its event id, in earlier ones its event id alone; null: in
   * all of them, as this was written by an older release (core/checkpoint.ts).
   */
  readonly ids_per_ad_from: number | null;
}

export type QuarantineReason = 'malformed' | 'future' | 'too_late';

/** A line that was not counted, whole. (`partition`, `offset`, `line`) is its identity. */
export interface QuarantineRow {
  readonly partition: number;
  readonly offset: number;
  readonly line: number;
  readonly reason: QuarantineReason;
  readonly detail: string;
  readonly appended_at: number;
  readonly ad_id: string;
  readonly event_id: string;
  /** Epoch ms; 0 where the line has none. */
  readonly clicked_at: number;
  /** The line; base64 with prefix `base64:` where it is not UTF-8. */
  readonly raw: string;
}
