/**
 * SQL of work whose jobs have failed, so that the job runner can try it again.
 *
 * Every question looks only at the ids of jobs since a moment. Ids begin with the time (job.ts), so old jobs cost
 * nothing.
 */
import { Type } from 'typebox';
import { sql, statement } from '../../../infra/clickhouse/sql.ts';
import { type Reader, type RowOf, readRows, rowShape } from '../sql/read-rows.ts';
import { settingsOf } from '../sql/read-settings.ts';
import { firstJobIdAt } from './job.ts';

/** The number of failed attempts, and when the last one ended (epoch ms). */
const attempts = { attempts: Type.Integer(), ended_at: Type.Integer() };

/** `from` is the beginning of the hour, in epoch ms. */
const FailedHour = rowShape('hours whose reconciliation failed', { ...attempts, from: Type.Integer() });
export type FailedHour = RowOf<typeof FailedHour>;
export type Attempts = Omit<FailedHour, 'from'>;

/** `id` is the id of the reconciliation. */
const Unrepaired = rowShape('reconciliations without a repair', { ...attempts, id: Type.String() });
export type Unrepaired = RowOf<typeof Unrepaired>;

const MinutesLeft = rowShape('minutes of failed restatements', {
  minutes_s: Type.Array(Type.Integer()),
  ended_at: Type.Integer(),
});

/** Minutes (epoch ms) that a job has not reached, and when it failed (epoch ms). */
export interface FailedMinutes {
  readonly minutes: readonly number[];
  readonly ended_at: number;
}

/** Long because it holds three questions. Each of them can be read on its own. */
export function failedJobsOf(
  clickhouse: Reader,
  { timeoutMs, now }: { readonly timeoutMs: number; readonly now: () => number },
) {
  /**
   * When the last attempt ended. One of a runner whose clock was ahead has ended in the future, and holds up no further
   * attempt.
   */
  const endedAt = () =>
    sql`toUnixTimestamp64Milli(maxIf(updated_at, updated_at <= fromUnixTimestamp64Milli(${now()}, 'UTC')))`;
  const settings = (rows: number) => settingsOf(rows, timeoutMs);
  const failedMinutes = async (reason: 'late' | 'split', since: number, limit: number): Promise<FailedMinutes[]> => {
    const rows = await readRows(
      clickhouse,
      MinutesLeft,
      statement`SELECT arrayMap(m -> toUnixTimestamp(m), arrayFilter(m -> m >= position, minutes)) AS minutes_s,
         toUnixTimestamp64Milli(updated_at) AS ended_at
       FROM replay_job FINAL
       WHERE id >= ${firstJobIdAt(since)} AND kind = 'restate' AND reason = ${reason} AND state = 'failed'
       ORDER BY id DESC LIMIT ${limit} ${settings(limit)}`,
    );
    return rows.map(({ minutes_s, ended_at }) => ({ minutes: minutes_s.map(s => s * 1_000), ended_at }));
  };
  return {
    /**
     * Returns the hours from `since` on (epoch ms) whose reconciliations have all failed. The hour whose last attempt is
     * longest ago comes first.
     */
    async failedHours(since: number): Promise<FailedHour[]> {
      return await readRows(
        clickhouse,
        FailedHour,
        statement`SELECT from_s * 1000 AS \`from\`, attempts, ended_at
         FROM (
           SELECT toUnixTimestamp(from_minute) AS from_s, count() AS attempts,
             ${endedAt()} AS ended_at, countIf(state NOT IN ('failed', 'cancelled')) AS others
           FROM (
             SELECT from_minute, updated_at, state FROM replay_job FINAL
             WHERE id >= ${firstJobIdAt(since)} AND kind = 'reconcile' AND reason = 'hourly'
           )
           WHERE from_minute >= toDateTime(${Math.floor(since / 1_000)}, 'UTC') GROUP BY from_minute
         ) WHERE others = 0 ORDER BY ended_at LIMIT 1000 ${settings(1_000)}`,
      );
    },

    /**
     * Returns the minutes (epoch ms) that the latest failed restatements of late clicks have not reached. Only jobs that
     * were made from `since` on are considered.
     */
    async failedLateMinutes(since: number): Promise<number[]> {
      return (await failedMinutes('late', since, 100)).flatMap(({ minutes }) => minutes);
    },

    /** Returns the same of the latest failed restatements of split ads. */
    async failedSplitMinutes(since: number): Promise<FailedMinutes[]> {
      return await failedMinutes('split', since, 1_000);
    },

    /**
     * Returns reconciliations of minutes from `since` on (epoch ms) that have found drift, and have no repair that is
     * done or on its way. The one whose last repair is longest ago comes first.
     */
    async unrepaired(since: number, limit: number): Promise<Unrepaired[]> {
      return await readRows(
        clickhouse,
        Unrepaired,
        statement`SELECT found.id AS id, repairs.attempts AS attempts, repairs.ended_at AS ended_at
         FROM (
           SELECT id FROM replay_job FINAL
           WHERE id >= ${firstJobIdAt(since)} AND kind = 'reconcile' AND state = 'done' AND cells_changed > 0
             AND to_minute > toDateTime(${Math.floor(since / 1_000)}, 'UTC')
         ) AS found
         LEFT JOIN (
           SELECT JSONExtractString(result, 'repairs') AS of, count() AS attempts,
             ${endedAt()} AS ended_at, countIf(state NOT IN ('failed', 'cancelled')) AS others
           FROM replay_job FINAL WHERE id >= ${firstJobIdAt(since)} AND kind = 'restate' AND reason = 'reconcile' GROUP BY of
         ) AS repairs ON repairs.of = found.id
         WHERE repairs.others = 0 ORDER BY ended_at, id LIMIT ${limit}
         ${settings(limit)}, join_use_nulls=0`,
      );
    },
  };
}
