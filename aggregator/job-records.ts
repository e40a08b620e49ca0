/**
 * CONTRACT: defines the records of jobs and of people on topics `job-requests`, `job-results`, `seals`, `filters` and
 * `write-offs`, which the sink copies into ClickHouse. It copies those of topic `audit` with them, whose shape is
 * defined in infra/audit/audit-record.ts.
 *
 * As in ad-minute.ts, the record header `kind` says to which table the lines belong, and `adclicks_format` says in
 * which format they are. All lines except those of `ad-minute` are objects, which may gain fields.
 *
 * Rows become visible in the order of `rowSteps`. Each transaction writes some of them, in this order (query-api/jobs):
 *
 * - One row of `recounted_minute` makes all changes of a job in one minute visible. It is written after the rows of
 *   `restatement` that it makes visible and before the rows of `ad_minute`. After those it is written a second time,
 *   now as settled.
 * - The row of a job comes after everything that the job has written with it or before it. Whoever sees that row in
 *   ClickHouse also sees all of that, and everything before it in `job-results`, from any job. It is a barrier.
 * - The row of `job_runner` that begins a term is also a barrier, and it covers earlier runners too. It is the last.
 *
 * The order holds within one topic. Rows that belong together but stand in several topics identify themselves: a seal,
 * for instance, is complete in itself.
 */
import { auditFormat, auditKind } from '../infra/audit/audit-record.ts';
import { judgedFormat } from './ad-minute.ts';

export type JobRecordKind =
  | 'diff'
  | 'restatement'
  | 'recounted-minute'
  | 'ad-minute'
  | 'settled-minute'
  | 'minute-recount'
  | 'seal'
  | 'conservation-check'
  | 'replica-check'
  | 'job'
  | 'job-runner';

/**
 * Records that people ask for, outside of transactions. `former-filter` is a filter from before filters were kept in
 * the log.
 */
export type RequestKind = 'job' | 'cancellation' | 'filter' | 'former-filter' | 'seal';

export interface RowStep {
  readonly kind: JobRecordKind | RequestKind | typeof auditKind;
  readonly table: string;
}

/** The tables in the order of insertion. A view copies `ad_minute` on into `ad_minute_by_ad`. */
export const rowSteps: readonly RowStep[] = [
  { kind: 'diff', table: 'replay_diff' },
  { kind: 'restatement', table: 'restatement' },
  // Not settled yet.
  { kind: 'recounted-minute', table: 'recounted_minute' },
  // Arrays, as on topic `aggregates`. All rows of a record belong to one partition of `clicks`, which is in the header
  // `partition`.
  { kind: 'ad-minute', table: 'ad_minute' },
  { kind: 'settled-minute', table: 'recounted_minute' },
  { kind: 'minute-recount', table: 'minute_recount' },
  { kind: 'seal', table: 'conservation_seal' },
  { kind: 'former-filter', table: 'stored_filter' },
  { kind: 'filter', table: 'stored_filter' },
  { kind: 'cancellation', table: 'replay_cancellation' },
  { kind: auditKind, table: 'audit_record' },
  { kind: 'conservation-check', table: 'conservation_check' },
  { kind: 'replica-check', table: 'replica_check' },
  { kind: 'job', table: 'replay_job' },
  { kind: 'job-runner', table: 'job_runner' },
];

/** The format in which this release writes every kind, but for counts that were judged by rules (ad-minute.ts). */
export const jobRecordFormat = 1;

/** The formats of each kind that this release can read. */
export const jobRecordFormats: Readonly<Record<string, readonly number[]>> = Object.fromEntries(
  rowSteps.map(({ kind }) => [kind, formatsOf(kind)]),
);

function formatsOf(kind: RowStep['kind']): readonly number[] {
  if (kind === 'ad-minute') return [jobRecordFormat, judgedFormat];
  return [kind === auditKind ? auditFormat : jobRecordFormat];
}

/**
 * Returns `seq` of a stored filter that stands in the log at `offset`.
 *
 * Of two changes the one later in the log wins, in every table that is filled from the log, whatever the clocks of
 * their writers say. Compaction keeps the same one. The value is higher than any `seq` of earlier releases, which were
 * times. Between two values there is room for the numbers that an earlier release gives after a downgrade, each one
 * higher than the last. It is exact as a number for up to 100 billion changes.
 */
export function filterSeqAt(offset: number): number {
  return 2 ** 50 + offset * 2 ** 16;
}

/** A row of table `job_runner`: a process has begun to run the jobs, or still runs them. */
export interface JobRunnerRow {
  /** Epoch ms. */
  readonly since: number;
  /** Unique to this term. */
  readonly instance: string;
  /** Host and port of the process. */
  readonly host: string;
  /** Epoch ms. At this time the process reported that it is alive. */
  readonly seen_at: number;
}

/** A row of table `conservation_seal`. */
export interface SealRow {
  readonly source: 'ad_minute' | 'quarantine' | 'accepted';
  readonly partition: number;
  /**
   * The beginning of the hour in epoch s, or the first offset. A write-off has a random number, which no
   * other has: those of one partition are added up, and two with one number would replace each other.
   */
  readonly since: number;
  /** Exclusive. */
  readonly until: number;
  readonly counted: number;
  readonly duplicates: number;
  readonly quarantined: number;
  /** Invalid clicks, among those in `counted`. */
  readonly invalid?: number;
  readonly missing?: number;
  readonly note?: string;
  /** Epoch s. Left out for a written-off difference. */
  readonly kept_until?: number;
  /** Epoch ms. Of several rows for one range, the latest one holds. */
  readonly at: number;
}

/** The key of the record. A compacted topic keeps the last record of each key. */
export function sealKey({ source, partition, since }: Pick<SealRow, 'source' | 'partition' | 'since'>): string {
  return `${source}/${partition}/${since}`;
}
