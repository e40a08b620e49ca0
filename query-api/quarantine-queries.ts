/** SQL of what was not counted: the lines themselves, newest first. Rules as in queries.ts. */
import type { QuarantineRow } from '../aggregator/ad-minute.ts';
import { sharded } from '../infra/clickhouse/sharded-tables.ts';
import { joined, noSql, type Sql, sql, statement } from '../infra/clickhouse/sql.ts';
import type { ClickHouse } from '../infra/clickhouse.ts';
import { settingsOf } from './read-settings.ts';

export interface QuarantineFilter {
  readonly reason: string | undefined;
  readonly adId: string | undefined;
}

/** Lines that came in `[from, to)`, epoch ms, by the broker's time. */
export interface ExportFilter extends QuarantineFilter {
  readonly from: number;
  readonly to: number;
}

/** As the aggregator writes it; the sink adds reason `refused`. */
export type QuarantineSample = Omit<QuarantineRow, 'reason'> & { readonly reason: string };

export type QuarantineQueries = ReturnType<typeof createQuarantineQueries>;

/** Characters of a line that are shown. */
export const rawShown = 2_000;

/** Of an export: lines of a page, and bytes of them after which it ends with the line that passes them. */
export const pageLines = 500;
export const pageBytes = 4 << 20;

/** Kinds of fault that the counts by reason list. */
export const reasonsListed = 1_000;

export function createQuarantineQueries(clickhouse: ClickHouse, { timeoutMs }: { readonly timeoutMs: number }) {
  return {
    /** Those after a line: append time in epoch ms, partition, offset, line. */
    async samples(
      filter: QuarantineFilter,
      limit: number,
      after?: readonly [number, number, number, number],
    ): Promise<QuarantineSample[]> {
      return await clickhouse.query(
        ...statement`SELECT partition, offset, line, reason, detail, toUnixTimestamp64Milli(appended) AS appended_at, ad_id,
           event_id, clicked_at, substringUTF8(raw, 1, ${rawShown}) AS raw
         FROM (
           SELECT partition, offset, line, reason, detail, appended_at AS appended, ad_id, event_id, clicked_at, raw
           FROM ${sharded('quarantine')} FINAL WHERE ${matching(filter)} ${after === undefined ? noSql : sql`AND ${older(after)}`}
           ORDER BY appended_at DESC, partition, offset DESC, line DESC LIMIT ${limit}
         ) ORDER BY appended DESC, partition, offset DESC, line DESC ${settingsOf(limit, timeoutMs)}`,
      );
    },

    /** The lines after `last`, oldest first, as they are ordered by `appended_at`, partition, offset and line; none: the end. */
    async page(filter: ExportFilter, last: QuarantineSample | undefined): Promise<QuarantineSample[]> {
      const order = sql`appended, partition, offset, line`;
      const after =
        last === undefined
          ? noSql
          : sql`AND (appended_at, partition, offset, line) > (fromUnixTimestamp64Milli(${last.appended_at}, 'UTC'),
               ${last.partition}, ${last.offset}, ${last.line})`;
      return await clickhouse.query(
        ...statement`SELECT partition, offset, line, reason, detail, toUnixTimestamp64Milli(appended) AS appended_at, ad_id,
           event_id, clicked_at, raw
         FROM (
           SELECT *, sum(length(raw)) OVER (ORDER BY ${order} ROWS UNBOUNDED PRECEDING) AS bytes
           FROM (
             SELECT partition, offset, line, reason, detail, appended_at AS appended, ad_id, event_id, clicked_at, raw
             FROM ${sharded('quarantine')} FINAL WHERE ${matching(filter)}
               AND appended_at >= fromUnixTimestamp64Milli(${filter.from}, 'UTC')
               AND appended_at < fromUnixTimestamp64Milli(${filter.to}, 'UTC') ${after}
             ORDER BY appended_at, partition, offset, line LIMIT ${pageLines}
           )
         ) WHERE bytes - length(raw) < ${pageBytes} ORDER BY ${order} ${settingsOf(pageLines, timeoutMs)}`,
      );
    },

    async byReason(filter: Pick<QuarantineFilter, 'adId'>): Promise<{ reason: string; lines: number }[]> {
      const all = { ...filter, reason: undefined };
      return await clickhouse.query(
        ...statement`SELECT reason, count() AS lines FROM ${sharded('quarantine')} FINAL WHERE ${matching(all)}
         GROUP BY reason ORDER BY lines DESC, reason ${settingsOf(reasonsListed, timeoutMs)}`,
      );
    },
  };
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
