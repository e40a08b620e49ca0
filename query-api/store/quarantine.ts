/**
 * SQL of the lines in quarantine. Rules as in ad-counts.ts.
 *
 * A line that came too late is counted later, by a restatement of its minute. The outcome of each line is found in the
 * same way as `late-clicks.ts` finds the lines that wait.
 */

import { Type } from 'typebox';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../infra/clickhouse/sharded-tables.ts';
import { joined, noSql, type Sql, sql, statement } from '../../infra/clickhouse/sql.ts';
import { minuteMs } from '../time/time-range.ts';
import { arrivedSince } from './late-clicks.ts';
import { rawSince } from './raw-retention.ts';
import { type RowOf, readRows, rowShape } from './sql/read-rows.ts';
import { settingsOf } from './sql/read-settings.ts';

export interface QuarantineFilter {
  readonly reason: string | undefined;
  readonly adId: string | undefined;
}

/**
 * `restated`: a restatement has counted the line since, or has found that it is a copy. `waiting`: a restatement will
 * do so. `not_counted`: the line is in no count, and stays so unless somebody corrects it and posts it again.
 */
export const lineOutcomes = ['restated', 'waiting', 'not_counted'] as const;
export type LineOutcome = (typeof lineOutcomes)[number];

/** Selects lines whose click is in `[from, to)`, in epoch ms, or at any time if `clicked` is undefined. */
export interface SplitFilter extends QuarantineFilter {
  readonly outcome: LineOutcome | undefined;
  readonly clicked: { readonly from: number; readonly to: number } | undefined;
}

const ReasonSplit = rowShape('quarantine by reason', {
  reason: Type.String(),
  lines: Type.Integer(),
  restated: Type.Integer(),
  waiting: Type.Integer(),
  not_counted: Type.Integer(),
});
export type ReasonSplit = RowOf<typeof ReasonSplit>;

/** Selects lines that the broker received in `[from, to)`, in epoch ms. */
export interface ExportFilter extends QuarantineFilter {
  readonly outcome: LineOutcome | undefined;
  readonly from: number;
  readonly to: number;
}

/** Columns of a line without its text. The aggregator writes it (aggregator/ad-minute.ts). The sink adds reason `refused`. */
export const placeAndReason = {
  partition: Type.Integer(),
  offset: Type.Integer(),
  line: Type.Integer(),
  reason: Type.String(),
  detail: Type.String(),
  appended_at: Type.Integer(),
  ad_id: Type.String(),
  /** Epoch ms as the client sent it, or 0. May be any number. */
  clicked_at: Type.Integer(),
};

const JudgedLine = rowShape('quarantine', {
  ...placeAndReason,
  event_id: Type.String(),
  raw: Type.String(),
  outcome: Type.Enum(lineOutcomes),
});

/** A line together with its outcome at the moment. */
export type JudgedLine = RowOf<typeof JudgedLine>;

export type QuarantineSample = Omit<JudgedLine, 'outcome'>;

export type QuarantineQueries = ReturnType<typeof createQuarantineQueries>;

/** The number of characters of a line that are shown. */
export const rawShown = 2_000;

/** Limits for a page of an export. The line that exceeds `pageBytes` is the last of its page. */
export const pageLines = 500;
const pageBytes = 4 << 20;

const reasonsListed = 1_000;

export interface QuarantineOptions {
  readonly timeoutMs: number;
  /** Epoch ms. */
  readonly now: () => number;
}

/** Long because it holds three questions. Each of them can be read on its own. */
export function createQuarantineQueries(clickhouse: ClickHouse, { timeoutMs, now }: QuarantineOptions) {
  return {
    /**
     * Returns the newest lines first, and only those behind `after`: append time in epoch ms, partition, offset and
     * line of the last line of a page.
     */
    async samples(
      filter: SplitFilter,
      limit: number,
      after?: readonly [number, number, number, number],
    ): Promise<JudgedLine[]> {
      const beyond = after === undefined ? sql`1` : older(after);
      return await readRows(
        clickhouse,
        JudgedLine,
        statement`SELECT partition, offset, line, reason, detail, toUnixTimestamp64Milli(appended) AS appended_at, ad_id,
           event_id, clicked_at, substringUTF8(raw, 1, ${rawShown}) AS raw, outcome
         FROM ${split(sql`partition, offset, line, reason, detail, ad_id, event_id, clicked_at, raw`, asideOf(filter, beyond), noSql, now())}
         WHERE ${hasOutcome(filter)}
         ORDER BY appended DESC, partition, offset DESC, line DESC LIMIT ${limit}
         ${settingsOf(limit, timeoutMs, { join_use_nulls: 0 })}`,
      );
    },

    /**
     * Returns the lines after `last` in the order of `appended_at`, partition, offset and line. An empty page is the
     * end. Lines with any outcome are returned: the outcome is known only when the page has been read, and the next
     * page begins behind its last line.
     */
    async page(filter: Omit<ExportFilter, 'outcome'>, last: QuarantineSample | undefined): Promise<JudgedLine[]> {
      const order = sql`appended, partition, offset, line`;
      const after =
        last === undefined
          ? noSql
          : sql`AND (appended_at, partition, offset, line) > (fromUnixTimestamp64Milli(${last.appended_at}, 'UTC'),
               ${last.partition}, ${last.offset}, ${last.line})`;
      const columns = sql`partition, offset, line, reason, detail, ad_id, event_id, clicked_at, raw`;
      const linesOf = (selected: Sql) => sql`(
        SELECT ${selected} FROM ${sharded('quarantine')} FINAL WHERE ${matching(filter)}
          AND appended_at >= fromUnixTimestamp64Milli(${filter.from}, 'UTC')
          AND appended_at < fromUnixTimestamp64Milli(${filter.to}, 'UTC') ${after}
        ORDER BY appended_at, partition, offset, line LIMIT ${pageLines}
      )`;
      // Only the minutes of this page are looked up. Otherwise every page would read all recounts again.
      const ofPage = sql`AND minute IN (
        SELECT toDateTime(intDiv(clicked_at, ${minuteMs}) * ${minuteMs / 1_000}, 'UTC')
        FROM ${linesOf(sql`clicked_at, reason`)} WHERE reason = 'too_late'
      )`;
      return await readRows(
        clickhouse,
        JudgedLine,
        statement`SELECT partition, offset, line, reason, detail, toUnixTimestamp64Milli(appended) AS appended_at, ad_id,
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
      return await readRows(
        clickhouse,
        ReasonSplit,
        statement`SELECT reason, count() AS lines, countIf(outcome = 'restated') AS restated,
           countIf(outcome = 'waiting') AS waiting, countIf(outcome = 'not_counted') AS not_counted
         FROM ${split(sql`partition, offset, reason, clicked_at`, asideOf(all, sql`1`), noSql, now())}
         GROUP BY reason ORDER BY lines DESC, reason ${settingsOf(reasonsListed, timeoutMs, { join_use_nulls: 0 })}`,
      );
    },
  };
}

/** A table expression for the lines that match. */
function asideOf({ clicked, ...filter }: SplitFilter, beyond: Sql): Sql {
  const inRange = clicked === undefined ? noSql : sql`AND clicked_at >= ${clicked.from} AND clicked_at < ${clicked.to}`;
  return sql`${sharded('quarantine')} FINAL WHERE ${matching(filter)} ${inRange} AND ${beyond}`;
}

/**
 * A table expression with `columns`, `appended` and `outcome` of the lines. `recounts` is a further condition for the
 * recounts that may concern these lines. Needs join_use_nulls=0.
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

/** Lines are kept for 35 days. The minute of a line that can be counted was at most 35 days old when the line came. */
const recountsLookedAtMs = 72 * 86_400_000;

function hasOutcome({ outcome }: Pick<SplitFilter, 'outcome'>): Sql {
  return outcome === undefined ? sql`1` : sql`outcome = ${outcome}`;
}

/** All copies of a line are equal, so a condition on any column keeps all of them or none. */
function matching({ reason, adId }: QuarantineFilter): Sql {
  const conditions = [
    ...(reason === undefined ? [] : [sql`reason = ${reason}`]),
    ...(adId === undefined ? [] : [sql`ad_id = ${adId}`]),
  ];
  return conditions.length === 0 ? sql`1` : joined(conditions, ' AND ');
}

/** SQL for the lines behind a line, where newer lines come first, and lines of one moment are ordered by partition. */
function older([at, partition, offset, line]: readonly [number, number, number, number]): Sql {
  const moment = sql`fromUnixTimestamp64Milli(${at}, 'UTC')`;
  return sql`(appended_at < ${moment} OR (appended_at = ${moment} AND (partition > ${partition}
    OR (partition = ${partition} AND (offset, line) < (${offset}, ${line})))))`;
}
