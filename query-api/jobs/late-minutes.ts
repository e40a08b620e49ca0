/**
 * Finds minutes that have `too_late` lines which no recount has seen yet, and says which of them to recount now: when
 * no more came for a while, or some have waited for long. Lines are counted by the day they arrived, and looked for
 * over as many days as the log keeps: nothing older can still come in.
 *
 * Lines whose job has failed were not recounted. They are looked for again after a pause, so that a job which always
 * fails neither runs without end nor is forgotten.
 */
import type { ClickHouse } from '../../infra/clickhouse.ts';
import { settingsOf } from '../read-settings.ts';

export interface LateMinute {
  /** Days since 1970, of arrival. */
  readonly day: number;
  /** Epoch ms. */
  readonly minute: number;
  readonly lines: number;
}

export interface LateMinutes {
  /** Those to recount now. `finalUntil` and `rawSince` bound what can be recounted. */
  due(finalUntil: number, rawSince: number): Promise<LateMinute[]>;
  /** All that no recount has seen, of minutes in [from, to). */
  pending(from: number, to: number): Promise<LateMinute[]>;
  /** They are part of a job now; of rows that say the same number of lines the last one holds. */
  taken(minutes: readonly LateMinute[], job: string): Promise<void>;
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

  const pending = (from: number, to: number): Promise<LateMinute[]> =>
    clickhouse.query(
      `SELECT late.day AS day, late.minute_ms AS minute, late.lines AS lines
       FROM (
         SELECT toRelativeDayNum(appended_at) AS day, intDiv(clicked_at, 60000) * 60000 AS minute_ms, count() AS lines
         FROM quarantine FINAL
         WHERE reason = 'too_late' AND appended_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
           AND clicked_at >= {from:Int64} AND clicked_at < {to:Int64}
         GROUP BY day, minute_ms
       ) AS late
       LEFT JOIN (
         SELECT toRelativeDayNum(day) AS seen_day, toInt64(toUnixTimestamp(minute)) * 1000 AS seen_minute_ms,
           lines AS seen_lines
         FROM minute_recount FINAL WHERE day >= toDate(fromUnixTimestamp64Milli({since:Int64}, 'UTC'))
           AND job NOT IN (
             SELECT id FROM replay_job FINAL
             WHERE state = 'failed' AND updated_at <= fromUnixTimestamp64Milli({failed_until:Int64}, 'UTC')
           )
       ) AS seen ON late.day = seen.seen_day AND late.minute_ms = seen.seen_minute_ms
       WHERE late.lines > seen.seen_lines
       ORDER BY minute, day LIMIT ${minutesPerJob} ${settingsOf(minutesPerJob, timeoutMs)}`,
      { since: startOfDay(now()) - lookBackMs, failed_until: now() - pauseMs, from, to },
    );

  return {
    pending,
    async due(finalUntil, rawSince) {
      const at = now();
      const found = await pending(rawSince, finalUntil);
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
    async taken(minutes, job) {
      const at = Math.floor(now() / 1_000);
      const rows = minutes.map(({ day, minute, lines }) =>
        JSON.stringify({ day: dateOf(day), minute: minute / 1_000, lines, job, at }),
      );
      await clickhouse.insert('minute_recount', rows.join('\n'));
      for (const minute of minutes) waiting.delete(keyOf(minute));
    },
  };
}

const dayMs = 86_400_000;
/** The log keeps clicks for seven days; one more for clocks. */
const lookBackMs = 8 * dayMs;
const minutesPerJob = 50_000;

function startOfDay(ms: number): number {
  return ms - (ms % dayMs);
}

function dateOf(day: number): string {
  return new Date(day * dayMs).toISOString().slice(0, 10);
}
