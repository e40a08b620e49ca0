/**
 * Reads the tables of jobs. The first row of a job is written by the process that creates it (job-requests.ts,
 * job-writer.ts). After that only the job runner writes rows of the job.
 *
 * Jobs are kept for 400 days, and a pipeline makes thousands a day when clicks keep coming late. So the questions that
 * are asked every half second look only at ids of the days in which a job can still run. (Ids begin with the time.) A
 * list reads whole rows only for its page.
 */

import { Type } from 'typebox';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { timeOf } from '../../../infra/clickhouse/node-time.ts';
import { type Sql, sql, statement } from '../../../infra/clickhouse/sql.ts';
import { type Reader, type RowOf, readNumber, readRows, rowShape } from '../sql/read-rows.ts';
import { settingsOf } from '../sql/read-settings.ts';
import { diffsOf } from './diff-rows.ts';
import { failedJobsOf } from './failed-jobs.ts';
import { firstJobIdAt, type Job, type JobKind, jobKinds, jobReasons, jobStates } from './job.ts';

/** The place of a job in a list. */
export interface JobPlace {
  readonly rank: number;
  readonly id: string;
}

export function rankOf({ state }: Pick<Job, 'state'>): number {
  return state === 'running' ? 0 : state === 'queued' ? 1 : 2;
}

export type JobStore = ReturnType<typeof createJobStore>;

export interface JobStoreOptions {
  readonly timeoutMs: number;
  /** Epoch ms. */
  readonly now?: () => number;
}

/** Long because it holds one short question after another. Each of them can be read on its own. */
export function createJobStore(clickhouse: ClickHouse, { timeoutMs, now = Date.now }: JobStoreOptions) {
  const settings = (rows: number) => settingsOf(rows, timeoutMs);
  const jobs = async (where: Sql, order: Sql, limit: number) => {
    const rows = await readRows(
      clickhouse,
      JobRow,
      statement`SELECT ${columns} FROM (SELECT * FROM replay_job FINAL WHERE ${where} AND ${isKnown})
       ORDER BY ${order} LIMIT ${limit} ${settings(limit)}`,
    );
    return rows.map(jobOf);
  };
  return {
    ...failedJobsOf(clickhouse, { timeoutMs, now }),
    ...diffsOf(clickhouse, timeoutMs),

    async get(id: string, kinds: readonly JobKind[]): Promise<Job | undefined> {
      const [job] = await jobs(sql`id = ${id} AND kind IN ${kinds}`, sql`id`, 1);
      return job;
    },

    /**
     * Lists running jobs first, then queued jobs, then jobs that have ended, and the newest of each first. A job whose
     * state changes gets another place. So it may be on two pages, or move to a page that was read before.
     */
    async list(kinds: readonly JobKind[], after: JobPlace | undefined, limit: number): Promise<Job[]> {
      const place = after?.rank ?? 0;
      return await jobs(
        sql`id IN (
          SELECT id FROM (SELECT id, ${rank} AS place FROM replay_job FINAL WHERE kind IN ${kinds} AND ${isKnown})
          WHERE place > ${place} OR (place = ${place} AND id < ${after?.id ?? 'a'})
          ORDER BY place, id DESC LIMIT ${limit}
        )`,
        sql`${rank}, id DESC`,
        limit,
      );
    },

    /**
     * Returns queued and running jobs: first restatements of late clicks and of split ads, then other jobs that the
     * pipeline starts itself, then jobs that people have asked for, and the oldest of each first. So no number of other jobs hides the
     * jobs that must not wait.
     *
     * A job that has waited longer than raw clicks are kept, and longer than it takes to mark it as failed, is left as
     * it is.
     */
    async open(limit: number): Promise<Job[]> {
      return await jobs(
        sql`id >= ${firstJobIdAt(now() - openForMs)} AND ${isOpen}`,
        sql`reason IN ('late', 'split') DESC, reason IN ('hourly', 'reconcile') DESC, created_at, id`,
        limit,
      );
    },

    /** Counts queued and running jobs that people have asked for. */
    async openAsked(kind: JobKind): Promise<number> {
      return await readNumber(
        clickhouse,
        'replay_job',
        statement`SELECT count() AS n FROM (SELECT state, kind, reason FROM replay_job FINAL WHERE id >= ${firstJobIdAt(now() - openForMs)})
         WHERE ${isOpen} AND kind = ${kind} AND reason IN ('replay', 'rules', 'asked') ${settings(1)}`,
      );
    },

    /** Returns the hourly reconciliation of the latest hour. */
    async lastHourly(): Promise<Job | undefined> {
      const [job] = await jobs(sql`kind = 'reconcile' AND reason = 'hourly'`, sql`to_minute DESC`, 1);
      return job;
    },

    /** Returns the time of the node that is read, by which its rows expire, in epoch ms. */
    time: async (): Promise<number> => await timeOf(clickhouse),

    /** Returns which of these jobs somebody has cancelled. */
    async cancelled(ids: readonly string[]): Promise<ReadonlySet<string>> {
      if (ids.length === 0) return new Set();
      const rows = await readRows(
        clickhouse,
        CancelledJob,
        statement`SELECT job FROM replay_cancellation FINAL WHERE job IN ${ids} ${settings(ids.length)}`,
      );
      return new Set(rows.map(({ job }) => job));
    },
  };
}

/** Longer than raw clicks are kept. An older job has nothing left to do. */
const openForMs = 40 * 86_400_000;
/** A job that this release does not understand waits for a newer one. It must not stop the other jobs, or hide them. */
const isKnown = sql`kind IN ${jobKinds} AND reason IN ${jobReasons} AND state IN ${jobStates}`;
const isOpen = sql`state IN ('queued', 'running')`;
/** `rankOf` in SQL. */
const rank = sql`toUInt8(multiIf(state = 'running', 0, state = 'queued', 1, 2))`;

const columns = sql`id, kind, reason, apply, toUnixTimestamp(from_minute) AS from_s, toUnixTimestamp(to_minute) AS to_s,
  arrayMap(m -> toUnixTimestamp(m), minutes) AS minutes_s, state, toUnixTimestamp(position) AS position_s,
  minutes_done, minutes_total, clicks_read, cells_changed, result, error,
  toUnixTimestamp64Milli(created_at) AS created_ms, toUnixTimestamp64Milli(updated_at) AS updated_ms, seq`;

const JobRow = rowShape('replay_job', {
  id: Type.String(),
  kind: Type.Enum(jobKinds),
  reason: Type.Enum(jobReasons),
  apply: Type.Integer(),
  from_s: Type.Integer(),
  to_s: Type.Integer(),
  minutes_s: Type.Array(Type.Integer()),
  state: Type.Enum(jobStates),
  position_s: Type.Integer(),
  minutes_done: Type.Integer(),
  minutes_total: Type.Integer(),
  clicks_read: Type.Integer(),
  cells_changed: Type.Integer(),
  result: Type.String(),
  error: Type.String(),
  created_ms: Type.Integer(),
  updated_ms: Type.Integer(),
  seq: Type.Integer(),
});
type JobRow = RowOf<typeof JobRow>;

const CancelledJob = rowShape('replay_cancellation', { job: Type.String() });

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

/** Returns the row of table `replay_job` that is written into the log. */
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

/** Returns the highest `seq` of the job's rows that the node shows, or 0 when there is none. */
export async function newestSeq(clickhouse: Reader, id: string): Promise<number> {
  return await readNumber(
    clickhouse,
    'replay_job',
    statement`SELECT max(seq) AS n FROM replay_job WHERE id = ${id} ${settingsOf(1, 5_000)}`,
  );
}
