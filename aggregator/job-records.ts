/**
 * CONTRACT: what jobs and people say, on topics `job-requests`, `job-results`, `seals`, `filters` and `write-offs`, and the
 * sink copies into ClickHouse. As in ad-minute.ts, a record's header `kind` tells of which table its lines are rows, and
 * `adclicks_format` in which format; all but `ad-minute` are objects, which may gain fields.
 *
 * Rows become visible in the order of `rowSteps`, of which each transaction says some, in this order (query-api/jobs):
 *
 * - What a job changes in a minute is visible with one row of `recounted_minute`: so that row comes after the rows of
 *   `restatement` that it makes visible, before those of `ad_minute`, and once more, settled, after them.
 * - A job's row comes after all that the job has said with it or before. Whoever sees it in ClickHouse sees all of that, and
 *   all that stands before it in `job-results`, of whatever job: it is a barrier.
 * - So is the row of `job_runner` that begins a term of office, also for what runners before have said. It is the last.
 *
 * The order holds within a topic. What stands in several is told apart by its own rows: a seal by itself, for instance.
 */

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

/** Asked for by people, outside of transactions. `former-filter`: put before filters stood in the log. */
export type RequestKind = 'job' | 'cancellation' | 'filter' | 'former-filter' | 'seal';

export interface RowStep {
  readonly kind: JobRecordKind | RequestKind;
  readonly table: string;
}

/** In the order of insertion. A view takes `ad_minute` on into `ad_minute_by_ad`. */
export const rowSteps: readonly RowStep[] = [
  { kind: 'diff', table: 'replay_diff' },
  { kind: 'restatement', table: 'restatement' },
  // Not settled yet.
  { kind: 'recounted-minute', table: 'recounted_minute' },
  // Arrays, as on topic `aggregates`; a record holds rows of one partition of `clicks`, which its header `partition` tells.
  { kind: 'ad-minute', table: 'ad_minute' },
  { kind: 'settled-minute', table: 'recounted_minute' },
  { kind: 'minute-recount', table: 'minute_recount' },
  { kind: 'seal', table: 'conservation_seal' },
  { kind: 'former-filter', table: 'stored_filter' },
  { kind: 'filter', table: 'stored_filter' },
  { kind: 'cancellation', table: 'replay_cancellation' },
  { kind: 'conservation-check', table: 'conservation_check' },
  { kind: 'replica-check', table: 'replica_check' },
  { kind: 'job', table: 'replay_job' },
  { kind: 'job-runner', table: 'job_runner' },
];

/** Of each kind, what is written. */
export const jobRecordFormat = 1;

/** Of each kind, what this release reads. */
export const jobRecordFormats: Readonly<Record<string, readonly number[]>> = Object.fromEntries(
  rowSteps.map(({ kind }) => [kind, [1]]),
);

/**
 * `seq` of a stored filter that stands in the log at `offset`: of two changes the later in the log holds, in every table that
 * is filled from it, whatever the clocks of those who wrote them. Compaction keeps the same one. More than any `seq` of
 * before, which were times; and between two there is room for those that a release of before gives when it has come back,
 * each one more than the last. Exact as a number up to 100 billion changes.
 */
export function filterSeqAt(offset: number): number {
  return 2 ** 50 + offset * 2 ** 16;
}

/** A row of table `job_runner`: a process has begun to run the jobs, or runs them still. */
export interface JobRunnerRow {
  /** Epoch ms. */
  readonly since: number;
  /** Of this term alone. */
  readonly instance: string;
  /** Host and port of the process. */
  readonly host: string;
  /** Epoch ms: the process has said then that it is there. */
  readonly seen_at: number;
}

/** A row of table `conservation_seal`. */
export interface SealRow {
  readonly source: 'ad_minute' | 'quarantine' | 'accepted';
  readonly partition: number;
  /** Begin of the hour in epoch s, or the first offset; of a difference written off, any number of its own. */
  readonly since: number;
  /** Exclusive. */
  readonly until: number;
  readonly counted: number;
  readonly duplicates: number;
  readonly quarantined: number;
  readonly missing?: number;
  readonly note?: string;
  /** Epoch s; left out of what is written off. */
  readonly kept_until?: number;
  /** Epoch ms: of one stretch the latest holds. */
  readonly at: number;
}

/** What a compacted topic keeps the last record of. */
export function sealKey({ source, partition, since }: Pick<SealRow, 'source' | 'partition' | 'since'>): string {
  return `${source}/${partition}/${since}`;
}
