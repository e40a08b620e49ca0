/** SQL of minutes that have late clicks which no recount has counted yet. */
import { Type } from 'typebox';
import { sharded } from '../../../infra/clickhouse/sharded-tables.ts';
import { sql, statement } from '../../../infra/clickhouse/sql.ts';
import { minuteMs, type TimeRange } from '../../time/time-range.ts';
import { arrivedSince, lateLines } from '../late-clicks.ts';
import { type Reader, type RowOf, readRows, rowShape } from '../sql/read-rows.ts';
import { settingsOf } from '../sql/read-settings.ts';
import { jobStates } from './job.ts';

const UncountedMinute = rowShape('late minutes', {
  /** The day of arrival, in days since 1970. */
  day: Type.Integer(),
  /** Epoch ms. */
  minute: Type.Integer(),
  lines: Type.Integer(),
  /** The lines that the last job for this minute took, and the state of that job. 0 and '' when there is no job. */
  taken_lines: Type.Integer(),
  state: Type.Enum([...jobStates, '']),
  /** Epoch ms. */
  updated_at: Type.Integer(),
});
export type UncountedMinute = RowOf<typeof UncountedMinute>;
export type LateMinute = Pick<UncountedMinute, 'day' | 'minute' | 'lines'>;

/**
 * Minutes that a job already works on come last, so that they do not hide other minutes, however many they are. `now` is
 * epoch ms.
 */
export async function readUncountedMinutes(
  clickhouse: Reader,
  { from, to }: TimeRange,
  now: number,
  timeoutMs: number,
): Promise<readonly UncountedMinute[]> {
  const arrival = sql`fromUnixTimestamp64Milli(${arrivedSince(now)}, 'UTC')`;
  return await readRows(
    clickhouse,
    UncountedMinute,
    statement`SELECT late.day AS day, late.minute AS minute, late.total AS lines, seen.seen_lines AS taken_lines,
       seen.job_state AS state, seen.job_updated AS updated_at
     FROM (
       SELECT day, minute_ms AS minute, count() AS total FROM ${lateLines(now)}
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
}

const WaitingMinute = rowShape('waiting minutes', {
  /** Epoch ms. */
  minute: Type.Integer(),
  /** The best place that the minute has among the waiting minutes of one of its ads. The first place is 1. */
  place: Type.Integer(),
  lines: Type.Integer(),
  /** When the first of the lines came in, in epoch ms. */
  since: Type.Integer(),
});
export type WaitingMinute = RowOf<typeof WaitingMinute>;

/**
 * `minutes` must be in order. They are sent as one mark for each minute from the first to the last. So the statement is
 * limited by the number of minutes for which raw is kept. A list of their times could be longer than a server accepts.
 */
export async function readWaitingMinutes(
  clickhouse: Reader,
  minutes: readonly number[],
  timeoutMs: number,
): Promise<readonly WaitingMinute[]> {
  const [first = 0, last = 0] = [minutes[0], minutes.at(-1)];
  const marked = new Set(minutes);
  const marks = Array.from({ length: (last - first) / minuteMs + 1 }, (_, i) =>
    marked.has(first + i * minuteMs) ? 1 : 0,
  );
  return await readRows(
    clickhouse,
    WaitingMinute,
    statement`SELECT minute, min(place) AS place, sum(lines) AS lines, toUnixTimestamp64Milli(min(came)) AS since
    FROM (
      SELECT minute, lines, came, row_number() OVER (PARTITION BY ad_id ORDER BY came, minute) AS place
      FROM (
        SELECT intDiv(clicked_at, ${minuteMs}) * ${minuteMs} AS minute, ad_id, count() AS lines, min(appended_at) AS came
        FROM ${sharded('quarantine')} FINAL
        WHERE reason = 'too_late' AND clicked_at >= ${first} AND clicked_at < ${last + minuteMs}
          AND substring(${marks.join('')}, intDiv(clicked_at - ${first}, ${minuteMs}) + 1, 1) = '1'
        GROUP BY minute, ad_id
      )
    )
    GROUP BY minute
    ${settingsOf(minutes.length, timeoutMs, spilling)}`,
  );
}

const spilling = { max_bytes_before_external_group_by: 268_435_456, max_bytes_before_external_sort: 268_435_456 };

const minutesPerJob = 50_000;
