/**
 * Clicks that were accepted and came too late, so that they are in no count until their minute is recounted. Which of
 * them wait is found in the rows alone: a line of `quarantine` is counted once a recount of its minute is visible that
 * began after raw had the line (`recounted_minute.read_until`). What jobs there were, and how they ended, plays no part:
 * one that failed, died, was cancelled or is gone has made no recount visible, so its lines still wait.
 *
 * A line is not yet a click more: some are copies of counted clicks, which only the recount can tell.
 */

import { forNobody, whileAsked } from '../../infra/asking.ts';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../infra/clickhouse/sharded-tables.ts';
import { type Sql, sql, statement } from '../../infra/clickhouse/sql.ts';
import { inTime } from '../../infra/in-time.ts';
import { minuteMs, type TimeRange } from '../time/time-range.ts';
import { rawSince } from './raw-retention.ts';
import { settingsOf } from './sql/read-settings.ts';

/** Those that wait, as they were read. */
export interface LateClicks {
  readonly clicks: number;
  /** How many minutes they belong to. */
  readonly minutes: number;
  /** When the broker took the one that waits longest, epoch ms; undefined: none waits. */
  readonly since: number | undefined;
  /** Of these ads (empty: all), in any range. Counted once for many ranges, as of a series. */
  of(adIds: readonly string[]): (range: TimeRange) => number;
}

export interface LateClicksOptions {
  readonly clickhouse: ClickHouse;
  /** Epoch ms. */
  readonly now: () => number;
  readonly keepMs?: number;
  /** How long to wait for a newer answer where there is one. */
  readonly patienceMs?: number;
}

/**
 * To be read BEFORE counts: a recount that becomes visible in between is then in the counts, and its clicks are told as
 * waiting for a moment longer, never the other way round. One answer is shared by all who ask within `keepMs` (a second),
 * or for nine times as long as it took: after a large backfill no more than a tenth of the time goes into it. Nobody waits
 * long for a newer answer where there is one that is less than a minute old.
 */
export function createLateClicks({ clickhouse, now, keepMs = 1_000, patienceMs = 200 }: LateClicksOptions) {
  const read = async (): Promise<LateClicks> => {
    const lines = lateLines(now());
    const rows = await clickhouse.query<WaitingRow>(
      ...statement`SELECT minute_ms AS minute, ad_id, count() AS clicks, toUnixTimestamp64Milli(min(appended)) AS since
       FROM ${lines} WHERE waits GROUP BY minute_ms, ad_id ORDER BY minute_ms, ad_id LIMIT ${pairsKept + 1}
       ${settingsOf(pairsKept + 1, timeoutMs, { join_use_nulls: 0 })}`,
    );
    if (rows.length <= pairsKept) return lateClicksOf(rows);
    const minutes = await clickhouse.query<WaitingRow>(
      ...statement`SELECT minute_ms AS minute, '' AS ad_id, count() AS clicks, toUnixTimestamp64Milli(min(appended)) AS since
       FROM ${lines} WHERE waits GROUP BY minute_ms ORDER BY minute_ms
       ${settingsOf(0, timeoutMs, { join_use_nulls: 0 })}`,
    );
    return lateClicksOf(minutes);
  };
  let known: { readonly value: LateClicks; readonly askedAt: number; readonly until: number } | undefined;
  let asking: Promise<LateClicks> | undefined;
  const ask = async (): Promise<LateClicks> => {
    const askedAt = now();
    try {
      const value = await read();
      known = { value, askedAt, until: now() + Math.max(keepMs, 9 * (now() - askedAt)) };
      return value;
    } finally {
      asking = undefined;
    }
  };
  return async (): Promise<LateClicks> => {
    if (known && now() < known.until) return known.value;
    // For all who will ask, so it does not end with who happens to be first.
    asking ??= forNobody(ask);
    if (known === undefined || now() > known.askedAt + oldestMs) return await whileAsked(asking);
    const { value } = known;
    return await inTime(asking, patienceMs).catch(() => value);
  };
}

export interface WaitingRow {
  /** Epoch ms. */
  readonly minute: number;
  /** Empty: of any ad, where they are too many to be told apart; then each ad may have them. */
  readonly ad_id: string;
  readonly clicks: number;
  readonly since: number;
}

/** `rows` in the order of minutes. */
export function lateClicksOf(rows: readonly WaitingRow[]): LateClicks {
  const whole = { from: 0, to: Number.POSITIVE_INFINITY };
  const sumOf = (asked: readonly WaitingRow[]) => {
    // sums[i]: those of the first i rows.
    const sums = [0];
    for (const { clicks } of asked) sums.push((sums.at(-1) ?? 0) + clicks);
    const before = (time: number) => sums[indexOf(asked, time)] ?? 0;
    return ({ from, to }: TimeRange) => before(to) - before(from);
  };
  return {
    clicks: sumOf(rows)(whole),
    minutes: new Set(rows.map(({ minute }) => minute)).size,
    since: rows.length === 0 ? undefined : Math.min(...rows.map(({ since }) => since)),
    of(adIds) {
      if (adIds.length === 0) return sumOf(rows);
      return sumOf(rows.filter(({ ad_id }) => ad_id === '' || adIds.includes(ad_id)));
    },
  };
}

/**
 * SQL: lines that came too late, with the columns minute_ms, ad_id, day (of arrival), appended, and whether each `waits`.
 * Not those of minutes that cannot be recounted any more, which ingest does not take. Needs join_use_nulls=0.
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

/** Lines that arrived before are not looked for: the log keeps clicks for seven days; one more for clocks. Epoch ms, a whole day. */
export function arrivedSince(now: number): number {
  return now - (now % dayMs) - 8 * dayMs;
}

const dayMs = 86_400_000;
/** Longer than any number of late clicks should take. */
const timeoutMs = 30_000;
const oldestMs = 60_000;
/** (minute, ad) pairs in memory. */
const pairsKept = 100_000;

/** How many of the rows, which are in order, lie before a time. */
function indexOf(rows: readonly WaitingRow[], time: number): number {
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((rows[middle]?.minute ?? 0) < time) low = middle + 1;
    else high = middle;
  }
  return low;
}
