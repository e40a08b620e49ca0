/** The tables of jobs. A job's row is written by whoever creates it and then only by whoever runs it. */
import type { ClickHouse } from '../../infra/clickhouse.ts';
import { settingsOf } from '../read-settings.ts';
import { type Job, type JobKind, jobKinds } from './job.ts';

export interface DiffCursor {
  /** Epoch ms. */
  readonly minute: number;
  readonly adId: string;
  readonly country: string;
}

export interface DiffRow {
  readonly minute: number;
  readonly ad_id: string;
  readonly country: string;
  readonly before: number;
  readonly after: number;
}

export type JobStore = ReturnType<typeof createJobStore>;

export function createJobStore(clickhouse: ClickHouse, { timeoutMs }: { readonly timeoutMs: number }) {
  const settings = (rows: number) => settingsOf(rows, timeoutMs);
  const jobs = async (where: string, order: string, limit: number, params: Record<string, unknown> = {}) => {
    const rows = await clickhouse.query<JobRow>(
      `SELECT ${columns} FROM (SELECT * FROM replay_job FINAL WHERE ${where})
       ORDER BY ${order} LIMIT {limit:UInt32} ${settings(limit)}`,
      { ...params, limit },
    );
    return rows.map(jobOf);
  };
  return {
    async save(job: Job): Promise<void> {
      await clickhouse.insert('replay_job', JSON.stringify(rowOf(job)));
    },

    async get(id: string, kinds: readonly JobKind[]): Promise<Job | undefined> {
      const [job] = await jobs('id = {id:String} AND kind IN {kinds:Array(String)}', 'id', 1, { id, kinds });
      return job;
    },

    async latest(kinds: readonly JobKind[], limit: number): Promise<Job[]> {
      return await jobs('kind IN {kinds:Array(String)}', 'id DESC', limit, { kinds });
    },

    /**
     * What has been begun goes on first, but for restatements, which wait for nobody. A job of a kind that this release
     * does not know waits for the one that does.
     */
    async open(limit: number): Promise<Job[]> {
      return await jobs(
        `state IN ('queued', 'running') AND kind IN {known:Array(String)}`,
        `kind = 'restate' DESC, state = 'running' DESC, created_at, id`,
        limit,
        { known: jobKinds },
      );
    },

    /** The latest of the hourly reconciliations. */
    async lastHourly(): Promise<Job | undefined> {
      const [job] = await jobs(`kind = 'reconcile' AND reason = 'hourly'`, 'to_minute DESC', 1);
      return job;
    },

    async cancel(id: string, at: number): Promise<void> {
      await clickhouse.insert('replay_cancellation', JSON.stringify({ job: id, at }));
    },

    async isCancelled(id: string): Promise<boolean> {
      const rows = await clickhouse.query(
        `SELECT job FROM replay_cancellation FINAL WHERE job = {id:String} ${settings(1)}`,
        { id },
      );
      return rows.length > 0;
    },

    /** In the order of minute, ad and country. */
    async diff(id: string, after: DiffCursor, limit: number): Promise<DiffRow[]> {
      return await clickhouse.query(
        `SELECT toUnixTimestamp(m) * 1000 AS minute, ad_id, country, before, after
         FROM (
           SELECT minute AS m, ad_id, country, before, after FROM replay_diff FINAL
           WHERE job = {id:String} AND (minute > toDateTime({m:UInt32}, 'UTC') OR (minute = toDateTime({m:UInt32}, 'UTC')
             AND (ad_id > {ad:String} OR (ad_id = {ad:String} AND country > {country:String}))))
           ORDER BY job, minute, ad_id, country LIMIT {limit:UInt32}
         ) ORDER BY m, ad_id, country ${settings(limit)}`,
        { id, m: Math.floor(after.minute / 1_000), ad: after.adId, country: after.country, limit },
      );
    },

    async diffTotals(id: string): Promise<{ cells: number; before: number; after: number }> {
      const [row] = await clickhouse.query<{ cells: number; before: number; after: number }>(
        `SELECT count() AS cells, sum(b) AS before, sum(a) AS after
         FROM (SELECT before AS b, after AS a FROM replay_diff FINAL WHERE job = {id:String}) ${settings(1)}`,
        { id },
      );
      return row ?? { cells: 0, before: 0, after: 0 };
    },
  };
}

const columns = `id, kind, reason, apply, toUnixTimestamp(from_minute) AS from_s, toUnixTimestamp(to_minute) AS to_s,
  arrayMap(m -> toUnixTimestamp(m), minutes) AS minutes_s, state, toUnixTimestamp(position) AS position_s,
  minutes_done, minutes_total, clicks_read, cells_changed, result, error,
  toUnixTimestamp64Milli(created_at) AS created_ms, toUnixTimestamp64Milli(updated_at) AS updated_ms, seq`;

interface JobRow {
  readonly id: string;
  readonly kind: JobKind;
  readonly reason: Job['reason'];
  readonly apply: number;
  readonly from_s: number;
  readonly to_s: number;
  readonly minutes_s: readonly number[];
  readonly state: Job['state'];
  readonly position_s: number;
  readonly minutes_done: number;
  readonly minutes_total: number;
  readonly clicks_read: number;
  readonly cells_changed: number;
  readonly result: string;
  readonly error: string;
  readonly created_ms: number;
  readonly updated_ms: number;
  readonly seq: number;
}

function jobOf(row: JobRow): Job {
  const { id, kind, reason, state, result, error, seq } = row;
  return {
    ...{ id, kind, reason, state, result, error, seq },
    apply: row.apply === 1,
    from: row.from_s * 1_000,
    to: row.to_s * 1_000,
    minutes: row.minutes_s.map(s => s * 1_000),
    position: row.position_s * 1_000,
    minutesDone: row.minutes_done,
    minutesTotal: row.minutes_total,
    clicksRead: row.clicks_read,
    cellsChanged: row.cells_changed,
    createdAt: row.created_ms,
    updatedAt: row.updated_ms,
  };
}

function rowOf(job: Job) {
  const { id, kind, reason, state, result, error, seq } = job;
  return {
    ...{ id, kind, reason, state, result, error, seq },
    apply: job.apply ? 1 : 0,
    from_minute: job.from / 1_000,
    to_minute: job.to / 1_000,
    minutes: job.minutes.map(ms => ms / 1_000),
    position: job.position / 1_000,
    minutes_done: job.minutesDone,
    minutes_total: job.minutesTotal,
    clicks_read: job.clicksRead,
    cells_changed: job.cellsChanged,
    created_at: job.createdAt,
    updated_at: job.updatedAt,
  };
}
