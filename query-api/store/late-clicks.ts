/**
 * Finds clicks that were accepted and came too late, so that they are in no count until their minute is recounted.
 *
 * Only rows decide which of them wait. A line of `quarantine` is counted as soon as a recount of its minute is visible
 * that began after raw had the line (`recounted_minute.read_until`). The jobs and their states do not matter: a job
 * that has failed, died or was cancelled has made no recount visible, so its lines still wait.
 *
 * A line is not necessarily one more click. Some lines are copies of counted clicks, which only the recount can find.
 */

import { Type } from 'typebox';
import { forNobody, whileAsked } from '../../infra/asking.ts';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../infra/clickhouse/sharded-tables.ts';
import { type Sql, sql, statement } from '../../infra/clickhouse/sql.ts';
import { inTime } from '../../infra/in-time.ts';
import { minuteMs, type TimeRange } from '../time/time-range.ts';
import { rawSince } from './raw-retention.ts';
import { type RowOf, readRows, rowShape } from './sql/read-rows.ts';
import { settingsOf } from './sql/read-settings.ts';
import { waitingOf } from './waiting-clicks.ts';

/** The late clicks that wait, at the moment when they were read. */
export interface LateClicks {
  readonly clicks: number;
  /** The number of minutes they belong to. */
  readonly minutes: number;
  /** When the broker received the click that waits longest, in epoch ms. Undefined when no click waits. */
  readonly since: number | undefined;
  /**
   * Returns a function that counts the waiting clicks of these ads (empty: of all ads) in a range (`waiting-clicks.ts`).
   */
  of(adIds: readonly string[]): (range: TimeRange) => number;
}

export interface LateClicksOptions {
  readonly clickhouse: ClickHouse;
  /** Epoch ms. */
  readonly now: () => number;
  /**
   * Milliseconds of a clock that does not go back. By the wall clock, an answer would be kept for as long as that was put
   * back, and a final number would meanwhile be stated with none of the late clicks that wait for it.
   */
  readonly clock?: () => number;
  readonly keepMs?: number;
  /** How long a caller waits for a newer answer when there is an older one. */
  readonly patienceMs?: number;
}

/**
 * Must be read BEFORE counts. A recount that becomes visible in between is then in the counts, and its clicks are
 * reported as waiting for a moment too long. In the other order they could be in neither.
 *
 * All callers within `keepMs` (one second) share an answer. An answer that took long is kept for nine times that time,
 * so that after a large backfill at most a tenth of the time is spent on it. When there is an answer of the last
 * minute, a caller waits only `patienceMs` for a newer one.
 */
export function createLateClicks({
  clickhouse,
  now,
  clock = () => performance.now(),
  keepMs = 1_000,
  patienceMs = 200,
}: LateClicksOptions) {
  const read = async (): Promise<LateClicks> => {
    const lines = lateLines(now());
    const rows = await readRows(
      clickhouse,
      WaitingRow,
      statement`SELECT minute_ms AS minute, ad_id, count() AS clicks, toUnixTimestamp64Milli(min(appended)) AS since
       FROM ${lines} WHERE waits GROUP BY minute_ms, ad_id ORDER BY minute_ms, ad_id LIMIT ${pairsKept + 1}
       ${settingsOf(pairsKept + 1, timeoutMs, { join_use_nulls: 0 })}`,
    );
    if (rows.length <= pairsKept) return lateClicksOf(rows);
    const minutes = await readRows(
      clickhouse,
      WaitingRow,
      statement`SELECT minute_ms AS minute, '' AS ad_id, count() AS clicks, toUnixTimestamp64Milli(min(appended)) AS since
       FROM ${lines} WHERE waits GROUP BY minute_ms ORDER BY minute_ms
       ${settingsOf(0, timeoutMs, { join_use_nulls: 0 })}`,
    );
    return lateClicksOf(minutes);
  };
  let known: { readonly value: LateClicks; readonly askedAt: number; readonly until: number } | undefined;
  let asking: Promise<LateClicks> | undefined;
  const ask = async (): Promise<LateClicks> => {
    const askedAt = clock();
    try {
      const value = await read();
      known = { value, askedAt, until: clock() + Math.max(keepMs, 9 * (clock() - askedAt)) };
      return value;
    } finally {
      asking = undefined;
    }
  };
  return async (): Promise<LateClicks> => {
    if (known && clock() < known.until) return known.value;
    // The answer is for all callers, so the read must not end when the first of them has gone.
    asking ??= forNobody(ask);
    if (known === undefined || clock() > known.askedAt + oldestMs) return await whileAsked(asking);
    const { value } = known;
    return await inTime(asking, patienceMs).catch(() => value);
  };
}

const WaitingRow = rowShape('late clicks', {
  /** Epoch ms. */
  minute: Type.Integer(),
  /** Empty when there are too many pairs of minute and ad. Then the clicks may belong to any ad. */
  ad_id: Type.String(),
  clicks: Type.Integer(),
  since: Type.Integer(),
});
export type WaitingRow = RowOf<typeof WaitingRow>;

/** `rows` must be in the order of minutes. */
export function lateClicksOf(rows: readonly WaitingRow[]): LateClicks {
  return {
    clicks: rows.reduce((sum, { clicks }) => sum + clicks, 0),
    minutes: new Set(rows.map(({ minute }) => minute)).size,
    since: rows.length === 0 ? undefined : Math.min(...rows.map(({ since }) => since)),
    of: adIds => waitingOf(rows, adIds),
  };
}

/**
 * A table expression for lines that came too late, with the columns minute_ms, ad_id, day (of arrival), appended, and
 * `waits`. Minutes that can no longer be recounted are left out; ingest does not accept clicks of such minutes. Needs
 * join_use_nulls=0.
 */
export function lateLines(now: number): Sql {
  const oldest = rawSince(now);
  return sql`(
    SELECT late.minute_ms AS minute_ms, late.ad_id AS ad_id, late.day AS day, late.appended AS appended,
      recounted.until[late.partition] <= late.offset AS waits
    FROM (
      SELECT intDiv(clicked_at, ${minuteMs}) * ${minuteMs} AS minute_ms, ad_id, partition, offset,
        toRelativeDayNum(appended_at) AS day, appended_at AS appended
      FROM ${sharded('quarantine')} FINAL
      WHERE reason = 'too_late' AND clicked_at >= ${oldest}
        AND appended_at >= fromUnixTimestamp64Milli(${arrivedSince(now)}, 'UTC')
    ) AS late
    LEFT JOIN (
      SELECT toInt64(toUnixTimestamp(minute)) * 1000 AS recounted_ms, maxMap(read_until) AS until
      FROM recounted_minute WHERE minute >= toDateTime(${oldest / 1_000}, 'UTC') AND notEmpty(read_until)
      GROUP BY recounted_ms
    ) AS recounted ON late.minute_ms = recounted.recounted_ms
  )`;
}

/**
 * Returns the beginning of a day, in epoch ms. Lines that arrived before it are not looked for, because the log keeps
 * clicks for seven days. One more day allows for clocks that differ.
 */
export function arrivedSince(now: number): number {
  return now - (now % dayMs) - 8 * dayMs;
}

const dayMs = 86_400_000;
/** Reading any number of late clicks should take less. */
const timeoutMs = 30_000;
const oldestMs = 60_000;
/** The number of pairs of minute and ad that are kept in memory. */
const pairsKept = 100_000;
