/**
 * CONTRACT: defines the rows that the aggregator writes to its topics and that the sink copies into ClickHouse
 * unchanged.
 *
 * The aggregator writes them in its transaction. All records are lines of JSON. The record header `kind` says which of
 * these shapes the lines have, and `adclicks_format` says in which format (infra/kafka/record-contract.ts). Times are
 * epoch seconds in `minute` (a DateTime) and epoch ms everywhere else.
 *
 * Progress and quarantined lines are objects and may gain fields. A ClickHouse that has no column of that name yet
 * ignores the field, and a new column may be missing in what older writers send. `ad-minute` lines are arrays, whose
 * columns are those of their format. A sink of the release before inserts lines of format 1 without naming columns, so
 * the table takes exactly those from an insert that names none (infra/clickhouse/027_invalid_clicks.sql).
 */
import type { InvalidReason } from '../ingest/validity/rules.ts';

/** Values of the record header `kind` on topics `aggregates` and `quarantine`. */
export const recordKinds = { adMinute: 'ad-minute', progress: 'progress', quarantine: 'quarantine' } as const;

/** The format in which this release writes every kind, but for counts that were judged by rules. */
export const rowFormat = 1;

/**
 * The format of `ad-minute` lines that also say what rules have found (`JudgedLine`). It is written only where a minute
 * has rules, because the release before halts at it.
 */
export const judgedFormat = 2;

/** The formats of each kind that this release can read. */
export const rowFormats: Readonly<Record<string, readonly number[]>> = {
  [recordKinds.adMinute]: [1, 2],
  [recordKinds.progress]: [1],
  [recordKinds.quarantine]: [1],
};

/**
 * A true statement about a prefix of the log: "in `clicks[partition]` before offset `version`, this ad had `clicks`
 * distinct clicks from this country in this minute". It is an absolute number and never an increment. So a repeated or
 * outdated row does no harm, because the highest version wins. `version = revision << 48 | offset`; live counting
 * writes revision 0.
 *
 * There is one such row for almost every click. Therefore a line is an array of the values in the order below, which is
 * the order of the table's columns. It takes 45 bytes, where an object would take 125.
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
  /** Clicks, among those in `clicks`, that arrived after the watermark had passed the end of the minute. */
  readonly late: number;
  /** The version of the rules by which the clicks were judged (ingest/validity/rules.ts). 0: by none, all are valid. */
  readonly rules: number;
  /** Clicks, among those in `clicks`, that are invalid. */
  readonly invalid: number;
  /** The same by reason. Their sum is `invalid`, and none is 0. */
  readonly invalid_by: InvalidBy;
}

export type InvalidBy = Readonly<Partial<Record<InvalidReason, number>>>;

/** What rules have found in a cell. */
export type Judged = Pick<AdMinuteRow, 'rules' | 'invalid' | 'invalid_by'>;

/** Of a cell that no rules were applied to. */
export const notJudged: Judged = { rules: 0, invalid: 0, invalid_by: {} };

/** A line of a record of kind `ad-minute`, parsed: of format 1 or of `judgedFormat`. */
export type AdMinuteLine = CountedLine | JudgedLine;

type CountedLine = readonly [
  minute: number,
  ad_id: string,
  country: string,
  partition: number,
  version: number,
  clicks: number,
  duplicates: number,
  late: number,
];

type JudgedLine = readonly [...counted: CountedLine, rules: number, invalid: number, invalid_by: InvalidBy];

/** The columns of a line of `judgedFormat`, as table `ad_minute` takes them. */
export const judgedColumns = [
  ...['minute', 'ad_id', 'country', 'partition', 'version', 'clicks', 'duplicates', 'late'],
  ...['rules_given', 'invalid_given', 'invalid_by_given'],
] as const;

export function adMinuteRowOf(line: AdMinuteLine): AdMinuteRow {
  const [minute, ad_id, country, partition, version, clicks, duplicates, late] = line;
  const [, , , , , , , , rules = 0, invalid = 0, invalid_by = {}] = line;
  return { minute, ad_id, country, partition, version, clicks, duplicates, late, rules, invalid, invalid_by };
}

/** How far a partition is counted. This row is written after the rows that it covers, in the same transaction. */
export interface Progress {
  readonly partition: number;
  /**
   * The number of partitions over which the clicks up to `watermark` may be spread, as recorded
   * (ingest/hot-ads/partition-rule.ts). A statement about all clicks is possible only when each of these partitions has
   * progress. When rows differ, the highest number holds. When the number is not known, this is higher than the number
   * of existing partitions.
   */
  readonly partitions: number;
  /** Offset of the next record to count. */
  readonly position: number;
  /** No click older than this is expected. 0 means that nothing is known yet. */
  readonly watermark: number;
  /** All minutes that end at or before this are final in this partition. */
  readonly final_until: number;
  /** The broker's time of the last counted record. 0 means that there is none. */
  readonly appended_at: number;
  /** Lines since the beginning of the log. received = counted + duplicates + quarantined always holds. */
  readonly received: number;
  readonly counted: number;
  readonly duplicates: number;
  readonly quarantined: number;
  /** Lines, among those in `counted`, that are invalid. Left out by the release before, which judges none. */
  readonly invalid: number;
  /**
   * Lines that the broker acknowledged to ingest, as later records say (ingest/ack-chain.ts). The lines of each
   * writer's last batches are not included yet. Lines of other producers are never included.
   */
  readonly acknowledged: number;
  /** Acknowledged lines that are not in the log. They are lost. */
  readonly missing: number;
  /**
   * In minutes from this time on (epoch ms), a click is identified by its ad and its event id. In earlier minutes it
   * was identified by its event id alone. null means that the older rule holds for all minutes, because an older
   * release wrote this row (core/checkpoint.ts).
   */
  readonly ids_per_ad_from: number | null;
}

export type QuarantineReason = 'malformed' | 'future' | 'too_late';

/** A line that was not counted, in full. `partition`, `offset` and `line` together identify it. */
export interface QuarantineRow {
  readonly partition: number;
  readonly offset: number;
  readonly line: number;
  readonly reason: QuarantineReason;
  readonly detail: string;
  readonly appended_at: number;
  readonly ad_id: string;
  readonly event_id: string;
  /** Epoch ms. 0 when the line has no such time. */
  readonly clicked_at: number;
  /** The line itself. A line that is not UTF-8 is encoded as base64 with the prefix `base64:`. */
  readonly raw: string;
}
