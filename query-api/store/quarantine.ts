/**
 * SQL of what was set aside when it came: the lines themselves, newest first. Rules as in ad-counts.ts.
 *
 * A line that came too late is counted all the same, by a restatement of its minute: what has become of each line is found
 * as `late-clicks.ts` finds which of them wait.
 */

import type { QuarantineRow } from '../../aggregator/ad-minute.ts';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../infra/clickhouse/sharded-tables.ts';
import { joined, noSql, type Sql, sql, statement } from '../../infra/clickhouse/sql.ts';
import { minuteMs } from '../time/time-range.ts';
import { arrivedSince } from './late-clicks.ts';
import { rawSince } from './raw-retention.ts';
import { settingsOf } from './sql/read-settings.ts';

export interface QuarantineFilter {
  readonly reason: string | undefined;
  readonly adId: string | undefined;
}

/**
 * `restated`: a restatement has counted it since, or found that it is a copy. `waiting`: one will. `not_counted`: it is in
 * no count, and will be in none, unless somebody mends it and posts it again.
 */
export const lineOutcomes = ['restated', 'waiting', 'not_counted'] as const;
export type LineOutcome = (typeof lineOutcomes)[number];

/** Of lines whose click lies in `[from, to)`, epoch ms; undefined: whenever. */
export interface SplitFilter extends QuarantineFilter {
  readonly outcome: LineOutcome | undefined;
  readonly clicked: { readonly from: number; readonly to: number } | undefined;
}

export interface ReasonSplit extends Readonly<Record<LineOutcome, number>> {
  readonly reason: string;
  readonly lines: number;
}

/** Lines that came in `[from, to)`, epoch ms, by the broker's time. */
export interface ExportFilter extends QuarantineFilter {
  readonly outcome: LineOutcome | undefined;
  readonly from: number;
  readonly to: number;
}

/** As the aggregator writes it; the sink adds reason `refused`. */
export type QuarantineSample = Omit<QuarantineRow, 'reason'> & { readonly reason: string };

/** With what has become of it by now. */
export type JudgedLine = QuarantineSample & { readonly outcome: LineOutcome };

export type QuarantineQueries = ReturnType<typeof createQuarantineQueries>;

/** Characters of a line that are shown. */
export const rawShown = 2_000;

/** Of an export: lines of a page, and bytes of them after which it ends with the line that passes them. */
export const pageLines = 500;
export const pageBytes = 4 << 20;

/** Kinds of fault that the counts by reason list. */
export const reasonsListed = 1_000;

/** `now`: epoch ms. */
export interface QuarantineOptions {
  readonly timeoutMs: number;
  readonly now: () => number;
}

export function createQuarantineQueries(clickhouse: ClickHouse, { timeoutMs, now }: QuarantineOptions) {
  return {
    /** Those after a line: append time in epoch ms, partition, offset, line. */
    async samples(
      filter: SplitFilter,
      limit: number,
      after?: readonly [number, number, number, number],
    ): Promise<JudgedLine[]> {
      const beyond = after === undefined ? sql`1` : older(after);
      return await clickhouse.query(
        ...statement`SELECT partition, offset, line, reason, detail, toUnixTimestamp64Milli(appended) AS appended_at, ad_id,
           event_id, clicked_at, substringUTF8(raw, 1, ${rawShown}) AS raw, outcome
         FROM ${split(sql`partition, offset, line, reason, detail, ad_id, event_id, clicked_at, raw`, asideOf(filter, beyond), noSql, now())}
         WHERE ${hasOutcome(filter)}
         ORDER BY appended DESC, partition, offset DESC, line DESC LIMIT ${limit}
         ${settingsOf(limit, timeoutMs, { join_use_nulls: 0 })}`,
      );
    },

    /**
     * The lines after `last`, oldest first, as they are ordered by `appended_at`, partition, offset and line; none: the end.
     * Also those of other outcomes than asked for: which they have is known only when a page is read, and the next page
     * begins behind the last of them.
     */
    async page(filter: Omit<ExportFilter, 'outcome'>, last: QuarantineSample | undefined): Promise<JudgedLine[]> {
      const order = sql`appended, partition, offset, line`;
      const after =
        last === undefined
          ? noSql
          : sql`AND (appended_at, partition, offset, line) > (fromUnixTimestamp64Milli(${last.appended_at}, 'UTC'),
               ${last.partition}, ${last.offset}, ${last.line})`;
      const columns = sql`partition, offset, line, reason, detail, ad_id, event_id, clicked_at, raw`;
      const linesOf = (told: Sql) => sql`(
        SELECT ${told} FROM ${sharded('quarantine')} FINAL WHERE ${matching(filter)}
          AND appended_at >= fromUnixTimestamp64Milli(${filter.from}, 'UTC')
          AND appended_at < fromUnixTimestamp64Milli(${filter.to}, 'UTC') ${after}
        ORDER BY appended_at, partition, offset, line LIMIT ${pageLines}
      )`;
      // Of a page few minutes were recounted: all that ever were would be read again for each.
      const ofPage = sql`AND minute IN (
        SELECT toDateTime(intDiv(clicked_at, ${minuteMs}) * ${minuteMs / 1_000}, 'UTC')
        FROM ${linesOf(sql`clicked_at, reason`)} WHERE reason = 'too_late'
      )`;
      return await clickhouse.query(
        ...statement`SELECT partition, offset, line, reason, detail, toUnixTimestamp64Milli(appended) AS appended_at, ad_id,
           event_id, clicked_at, raw, outcome
         FROM (
           SELECT *, sum(length(raw)) OVER (ORDER BY ${order} ROWS UNBOUNDED PRECEDING) AS bytes
           FROM ${split(columns, linesOf(sql`*`), ofPage, now())}
         ) WHERE bytes - length(raw) < ${pageBytes} ORDER BY ${order}
         ${settingsOf(pageLines, timeoutMs, { join_use_nulls: 0 })}`,
      );
    },

    async byReason(filter: Pick<SplitFilter, 'adId' | 'clicked'>): Promise<ReasonSplit[]> {
      const all = { ...filter, reason: undefined, outcome: undefined };
      return await clickhouse.query(
        ...statement`SELECT reason, count() AS lines, countIf(outcome = 'restated') AS restated,
           countIf(outcome = 'waiting') AS waiting, countIf(outcome = 'not_counted') AS not_counted
         FROM ${split(sql`partition, offset, reason, clicked_at`, asideOf(all, sql`1`), noSql, now())}
         GROUP BY reason ORDER BY lines DESC, reason ${settingsOf(reasonsListed, timeoutMs, { join_use_nulls: 0 })}`,
      );
    },
  };
}

/** A table expression. */
function asideOf({ clicked, ...filter }: SplitFilter, beyond: Sql): Sql {
  const inRange = clicked === undefined ? noSql : sql`AND clicked_at >= ${clicked.from} AND clicked_at < ${clicked.to}`;
  return sql`${sharded('quarantine')} FINAL WHERE ${matching(filter)} ${inRange} AND ${beyond}`;
}

/**
 * A table expression: `columns`, `appended` and `outcome` of the lines. `recounts`: which of them may be of these lines, as
 * a condition more. Needs join_use_nulls=0.
 */
function split(columns: Sql, lines: Sql, recounts: Sql, now: number): Sql {
  const oldest = rawSince(now);
  return sql`(
    SELECT ${columns}, appended, multiIf(
        reason != 'too_late', 'not_counted',
        recounted.until[partition] > offset, 'restated',
        clicked_at >= ${oldest} AND appended >= fromUnixTimestamp64Milli(${arrivedSince(now)}, 'UTC'), 'waiting',
        'not_counted') AS outcome
    FROM (
      SELECT *, appended_at AS appended, intDiv(clicked_at, ${minuteMs}) * ${minuteMs} AS minute_ms
      FROM ${lines}
    ) AS aside
    LEFT JOIN (
      SELECT toInt64(toUnixTimestamp(minute)) * 1000 AS recounted_ms, maxMap(read_until) AS until
      FROM recounted_minute WHERE minute >= toDateTime(${Math.floor((now - recountsLookedAtMs) / 1_000)}, 'UTC')
        AND notEmpty(read_until) ${recounts}
      GROUP BY recounted_ms
    ) AS recounted ON aside.minute_ms = recounted.recounted_ms
  )`;
}

/** Lines are kept for 35 days, and a line that can be counted is of a minute at most as old when it came. */
const recountsLookedAtMs = 72 * 86_400_000;

function hasOutcome({ outcome }: Pick<SplitFilter, 'outcome'>): Sql {
  return outcome === undefined ? sql`1` : sql`outcome = ${outcome}`;
}

/** All copies of a line are equal, so a filter on any column keeps all of them or none. */
function matching({ reason, adId }: QuarantineFilter): Sql {
  const conditions = [
    ...(reason === undefined ? [] : [sql`reason = ${reason}`]),
    ...(adId === undefined ? [] : [sql`ad_id = ${adId}`]),
  ];
  return conditions.length === 0 ? sql`1` : joined(conditions, ' AND ');
}

/** Newest first, and among those of one moment by partition. */
function older([at, partition, offset, line]: readonly [number, number, number, number]): Sql {
  const moment = sql`fromUnixTimestamp64Milli(${at}, 'UTC')`;
  return sql`(appended_at < ${moment} OR (appended_at = ${moment} AND (partition > ${partition}
    OR (partition = ${partition} AND (offset, line) < (${offset}, ${line})))))`;
}
