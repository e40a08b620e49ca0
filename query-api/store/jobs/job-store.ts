/**
 * The tables of jobs, as they are read. A job's row is said by whoever creates it (job-requests.ts, job-writer.ts) and then
 * only by who runs the jobs.
 *
 * Jobs are kept for 400 days, and a pipeline makes thousands a day where clicks keep coming late. So what is asked every
 * half second looks only at ids (they begin with the time) of the days that a job can still run for, and a list reads
 * whole rows of its page alone.
 */

import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { type Sql, sql, statement } from '../../../infra/clickhouse/sql.ts';
import { settingsOf } from '../sql/read-settings.ts';
import { firstJobIdAt, type Job, type JobKind, jobKinds } from './job.ts';

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

/** Where a job stands in a list. */
export interface JobPlace {
  readonly rank: number;
  readonly id: string;
}

export function rankOf({ state }: Pick<Job, 'state'>): number {
  return state === 'running' ? 0 : state === 'queued' ? 1 : 2;
}

/** What was tried and failed: how often, and when the last attempt ended (epoch ms). */
export interface Attempts {
  readonly attempts: number;
  readonly ended_at: number;
}

export interface FailedHour extends Attempts {
  /** Epoch ms. */
  readonly from: number;
}

export interface Unrepaired extends Attempts {
  /** The reconciliation. */
  readonly id: string;
}

export type JobStore = ReturnType<typeof createJobStore>;

export interface JobStoreOptions {
  readonly timeoutMs: number;
  /** Epoch ms. */
  readonly now?: () => number;
}

export function createJobStore(clickhouse: ClickHouse, { timeoutMs, now = Date.now }: JobStoreOptions) {
  const settings = (rows: number) => settingsOf(rows, timeoutMs);
  const jobs = async (where: Sql, order: Sql, limit: number) => {
    const rows = await clickhouse.query<JobRow>(
      ...statement`SELECT ${columns} FROM (SELECT * FROM replay_job FINAL WHERE ${where})
       ORDER BY ${order} LIMIT ${limit} ${settings(limit)}`,
    );
    return rows.map(jobOf);
  };
  return {
    async get(id: string, kinds: readonly JobKind[]): Promise<Job | undefined> {
      const [job] = await jobs(sql`id = ${id} AND kind IN ${kinds}`, sql`id`, 1);
      return job;
    },

    /**
     * What runs, then what is queued, then what has ended; of each the newest first. A job that goes on to another state
     * moves, so it may stand on two pages, or on a page that was read before.
     */
    async list(kinds: readonly JobKind[], after: JobPlace | undefined, limit: number): Promise<Job[]> {
      const place = after?.rank ?? 0;
      return await jobs(
        sql`id IN (
          SELECT id FROM (SELECT id, ${rank} AS place FROM replay_job FINAL WHERE kind IN ${kinds})
          WHERE place > ${place} OR (place = ${place} AND id < ${after?.id ?? 'a'})
          ORDER BY place, id DESC LIMIT ${limit}
        )`,
        sql`${rank}, id DESC`,
        limit,
      );
    },

    /**
     * Those that wait or run: first restatements of late clicks, then what the pipeline does by itself besides, then what
     * was asked for; of each the oldest first. So no number of jobs hides what must not wait. A job of a kind that this release does not know waits for the one that does;
     * one that has waited until its raw clicks are gone, and the time in which it would be failed, is left as it is.
     */
    async open(limit: number): Promise<Job[]> {
      return await jobs(
        sql`id >= ${firstJobIdAt(now() - openForMs)} AND ${isOpen} AND kind IN ${jobKinds}`,
        sql`reason = 'late' DESC, reason IN ('hourly', 'reconcile') DESC, created_at, id`,
        limit,
      );
    },

    /** How many that people have asked for wait or run. */
    async openAsked(kind: JobKind): Promise<number> {
      const [row] = await clickhouse.query<{ n: number }>(
        ...statement`SELECT count() AS n FROM (SELECT state, kind, reason FROM replay_job FINAL WHERE id >= ${firstJobIdAt(now() - openForMs)})
         WHERE ${isOpen} AND kind = ${kind} AND reason IN ('replay', 'asked') ${settings(1)}`,
      );
      return row?.n ?? 0;
    },

    /** The latest of the hourly reconciliations. */
    async lastHourly(): Promise<Job | undefined> {
      const [job] = await jobs(sql`kind = 'reconcile' AND reason = 'hourly'`, sql`to_minute DESC`, 1);
      return job;
    },

    /** Hours from `since` on (epoch ms) whose reconciliations have all failed; the one longest without another first. */
    async failedHours(since: number): Promise<FailedHour[]> {
      return await clickhouse.query(
        ...statement`SELECT from_s * 1000 AS \`from\`, attempts, ended_at
         FROM (
           SELECT toUnixTimestamp(from_minute) AS from_s, count() AS attempts,
             toUnixTimestamp64Milli(max(updated_at)) AS ended_at, countIf(state NOT IN ('failed', 'cancelled')) AS others
           FROM (
             SELECT from_minute, updated_at, state FROM replay_job FINAL
             WHERE id >= ${firstJobIdAt(since)} AND kind = 'reconcile' AND reason = 'hourly'
           )
           WHERE from_minute >= toDateTime(${Math.floor(since / 1_000)}, 'UTC') GROUP BY from_minute
         ) WHERE others = 0 ORDER BY ended_at LIMIT 1000 ${settings(1_000)}`,
      );
    },

    /** Minutes (epoch ms) that the latest failed restatements of late clicks, made from `since` on, have not come to. */
    async failedLateMinutes(since: number): Promise<number[]> {
      const rows = await clickhouse.query<{ minutes_s: readonly number[] }>(
        ...statement`SELECT arrayMap(m -> toUnixTimestamp(m), arrayFilter(m -> m >= position, minutes)) AS minutes_s
         FROM replay_job FINAL
         WHERE id >= ${firstJobIdAt(since)} AND kind = 'restate' AND reason = 'late' AND state = 'failed'
         ORDER BY id DESC LIMIT 100 ${settings(100)}`,
      );
      return rows.flatMap(row => row.minutes_s.map(s => s * 1_000));
    },

    /**
     * Reconciliations of minutes from `since` on (epoch ms) that have found drift and have no repair that was done or is
     * on its way; the one longest without another first.
     */
    async unrepaired(since: number, limit: number): Promise<Unrepaired[]> {
      return await clickhouse.query(
        ...statement`SELECT found.id AS id, repairs.attempts AS attempts, repairs.ended_at AS ended_at
         FROM (
           SELECT id FROM replay_job FINAL
           WHERE id >= ${firstJobIdAt(since)} AND kind = 'reconcile' AND state = 'done' AND cells_changed > 0
             AND to_minute > toDateTime(${Math.floor(since / 1_000)}, 'UTC')
         ) AS found
         LEFT JOIN (
           SELECT JSONExtractString(result, 'repairs') AS of, count() AS attempts,
             toUnixTimestamp64Milli(max(updated_at)) AS ended_at, countIf(state NOT IN ('failed', 'cancelled')) AS others
           FROM replay_job FINAL WHERE id >= ${firstJobIdAt(since)} AND kind = 'restate' AND reason = 'reconcile' GROUP BY of
         ) AS repairs ON repairs.of = found.id
         WHERE repairs.others = 0 ORDER BY ended_at, id LIMIT ${limit}
         ${settings(limit)}, join_use_nulls=0`,
      );
    },

    /** Those of `ids` that are to be ended. */
    async cancelled(ids: readonly string[]): Promise<ReadonlySet<string>> {
      if (ids.length === 0) return new Set();
      const rows = await clickhouse.query<{ job: string }>(
        ...statement`SELECT job FROM replay_cancellation FINAL WHERE job IN ${ids} ${settings(ids.length)}`,
      );
      return new Set(rows.map(({ job }) => job));
    },

    /** In the order of minute, ad and country. */
    async diff(id: string, after: DiffCursor, limit: number): Promise<DiffRow[]> {
      const minute = sql`toDateTime(${Math.floor(after.minute / 1_000)}, 'UTC')`;
      return await clickhouse.query(
        ...statement`SELECT toUnixTimestamp(m) * 1000 AS minute, ad_id, country, before, after
         FROM (
           SELECT minute AS m, ad_id, country, before, after FROM replay_diff FINAL
           WHERE job = ${id} AND (minute > ${minute} OR (minute = ${minute}
             AND (ad_id > ${after.adId} OR (ad_id = ${after.adId} AND country > ${after.country}))))
           ORDER BY job, minute, ad_id, country LIMIT ${limit}
         ) ORDER BY m, ad_id, country ${settings(limit)}`,
      );
    },

    async diffTotals(id: string): Promise<{ cells: number; before: number; after: number }> {
      const [row] = await clickhouse.query<{ cells: number; before: number; after: number }>(
        ...statement`SELECT count() AS cells, sum(b) AS before, sum(a) AS after
         FROM (SELECT before AS b, after AS a FROM replay_diff FINAL WHERE job = ${id}) ${settings(1)}`,
      );
      return row ?? { cells: 0, before: 0, after: 0 };
    },
  };
}

/** Longer than raw clicks are kept: whatever is older can do nothing any more. */
const openForMs = 40 * 86_400_000;
const isOpen = sql`state IN ('queued', 'running')`;
/** SQL of `rankOf`. */
const rank = sql`toUInt8(multiIf(state = 'running', 0, state = 'queued', 1, 2))`;

const columns = sql`id, kind, reason, apply, toUnixTimestamp(from_minute) AS from_s, toUnixTimestamp(to_minute) AS to_s,
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

/** A row of table `replay_job`, on its way through the log. */
export function jobRowOf(job: Job) {
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
    logged: 1,
  };
}

/** Of a job's rows that the node shows; 0: there is none. */
export async function newestSeq(clickhouse: Pick<ClickHouse, 'query'>, id: string): Promise<number> {
  const [row] = await clickhouse.query<{ newest: number }>(
    ...statement`SELECT max(seq) AS newest FROM replay_job WHERE id = ${id} ${settingsOf(1, 5_000)}`,
  );
  return row?.newest ?? 0;
}
