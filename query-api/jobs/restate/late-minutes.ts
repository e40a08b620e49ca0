/**
 * Finds minutes that have late clicks which no recount has counted yet (`late-clicks.ts`: the rows alone tell), and says
 * which of them to recount now: when no more came for a while, or some have waited for long. Lines are counted by the day
 * they arrived, and looked for over as many days as the log keeps: nothing older can still come in.
 *
 * A job that is open only holds its lines, so that they are not recounted twice at a time, and one that has failed does
 * so for a pause, so that a job which always fails neither runs without end nor is forgotten.
 */

import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { sql, statement } from '../../../infra/clickhouse/sql.ts';
import type { JobEntry } from '../../log/job-log.ts';
import type { Job } from '../../store/jobs/job.ts';
import { arrivedSince, lateLines } from '../../store/late-clicks.ts';
import { settingsOf } from '../../store/sql/read-settings.ts';

export interface LateMinute {
  /** Days since 1970, of arrival. */
  readonly day: number;
  /** Epoch ms. */
  readonly minute: number;
  readonly lines: number;
}

export interface LateMinutes {
  /** Those to recount now, which no job holds. `finalUntil` and `rawSince` bound what can be recounted. */
  due(finalUntil: number, rawSince: number): Promise<LateMinute[]>;
  /** Whether there were any when `due` was called last: also such as are not due yet, or held by a job. */
  readonly areAny: boolean;
  /** All that are not counted but will be soon, of minutes in [from, to): without those of a job that has just failed. */
  pending(from: number, to: number): Promise<LateMinute[]>;
  /** What says that they are part of a job now; of rows that say the same number of lines the last one holds. */
  taken(minutes: readonly LateMinute[], job: string): JobEntry;
}

export interface LateMinutesOptions {
  readonly clickhouse: ClickHouse;
  readonly now: () => number;
  readonly timeoutMs: number;
  readonly quietMs?: number;
  readonly longestWaitMs?: number;
  /** After a job has failed. */
  readonly pauseMs?: number;
}

export function createLateMinutes(options: LateMinutesOptions): LateMinutes {
  const { clickhouse, now, timeoutMs, quietMs = 10_000, longestWaitMs = 60_000, pauseMs = 600_000 } = options;
  const waiting = new Map<string, { lines: number; since: number; changedAt: number }>();
  const keyOf = ({ day, minute }: LateMinute) => `${day} ${minute}`;

  /** Those that a job holds come last: however many they are, they do not hide the others. */
  const uncounted = (from: number, to: number): Promise<UncountedMinute[]> => {
    const arrival = sql`fromUnixTimestamp64Milli(${arrivedSince(now())}, 'UTC')`;
    return clickhouse.query(
      ...statement`SELECT late.day AS day, late.minute AS minute, late.total AS lines, seen.seen_lines AS taken_lines,
         seen.job_state AS state, seen.job_updated AS updated_at
       FROM (
         SELECT day, minute_ms AS minute, count() AS total FROM ${lateLines(now())}
         WHERE minute_ms >= ${from} AND minute_ms < ${to}
         GROUP BY day, minute_ms HAVING countIf(waits) > 0
       ) AS late
       LEFT JOIN (
         SELECT recounted.seen_day AS seen_day, recounted.seen_minute_ms AS seen_minute_ms,
           recounted.seen_lines AS seen_lines, jobs.job_state AS job_state, jobs.job_updated AS job_updated
         FROM (
           SELECT toRelativeDayNum(day) AS seen_day, toInt64(toUnixTimestamp(minute)) * 1000 AS seen_minute_ms,
             lines AS seen_lines, job AS seen_job
           FROM minute_recount FINAL
           WHERE day >= toDate(${arrival})
         ) AS recounted
         LEFT JOIN (
           SELECT id, state AS job_state, toUnixTimestamp64Milli(updated_at) AS job_updated
           FROM replay_job FINAL WHERE kind = 'restate'
         ) AS jobs ON recounted.seen_job = jobs.id
       ) AS seen ON late.day = seen.seen_day AND late.minute = seen.seen_minute_ms
       ORDER BY seen.job_state IN ('queued', 'running', 'failed'), minute, day
       LIMIT ${minutesPerJob} ${settingsOf(minutesPerJob, timeoutMs, { join_use_nulls: 0 })}`,
    );
  };
  const hasFailedLately = ({ state, updated_at }: UncountedMinute) =>
    state === 'failed' && updated_at > now() - pauseMs;
  /** Lines beyond those that a job took belong to nobody. */
  const isHeld = (late: UncountedMinute) =>
    late.lines <= late.taken_lines && (late.state === 'queued' || late.state === 'running' || hasFailedLately(late));

  let areAny = false;
  return {
    get areAny() {
      return areAny;
    },
    async pending(from, to) {
      const found = await uncounted(from, to);
      return found.filter(late => !(isHeld(late) && hasFailedLately(late))).map(lateMinuteOf);
    },
    async due(finalUntil, rawSince) {
      const at = now();
      const all = await uncounted(rawSince, finalUntil);
      areAny = all.length > 0;
      const found = all.filter(late => !isHeld(late)).map(lateMinuteOf);
      const keys = new Set(found.map(keyOf));
      for (const key of waiting.keys()) if (!keys.has(key)) waiting.delete(key);
      return found.filter(late => {
        const known = waiting.get(keyOf(late)) ?? { lines: 0, since: at, changedAt: at };
        if (known.lines !== late.lines) known.changedAt = at;
        known.lines = late.lines;
        waiting.set(keyOf(late), known);
        return at - known.changedAt >= quietMs || at - known.since >= longestWaitMs;
      });
    },
    taken(minutes, job) {
      const at = Math.floor(now() / 1_000);
      for (const minute of minutes) waiting.delete(keyOf(minute));
      const rows = minutes.map(({ day, minute, lines }) => ({
        day: dateOf(day),
        minute: minute / 1_000,
        lines,
        job,
        at,
      }));
      return { kind: 'minute-recount', rows };
    },
  };
}

interface UncountedMinute extends LateMinute {
  /** What the last job took that was made for this minute, and how that job stands; 0 and '': there is none. */
  readonly taken_lines: number;
  readonly state: Job['state'] | '';
  /** Epoch ms. */
  readonly updated_at: number;
}

/** Never fewer lines than were taken before: of two rows of a minute the one with more holds, and that is to be the new job's. */
function lateMinuteOf({ day, minute, lines, taken_lines }: UncountedMinute): LateMinute {
  return { day, minute, lines: Math.max(lines, taken_lines) };
}

const dayMs = 86_400_000;
const minutesPerJob = 50_000;

function dateOf(day: number): string {
  return new Date(day * dayMs).toISOString().slice(0, 10);
}
