/** SQL of bulk exports: long reads in the order of the tables, so that ClickHouse has nothing to sort or keep. */

import type { ClickHouse, ReadOptions } from '../../infra/clickhouse/clickhouse.ts';
import { type ShardedTable, sharded } from '../../infra/clickhouse/sharded-tables.ts';
import { joined, named, noSql, type Sql, sql, statement } from '../../infra/clickhouse/sql.ts';
import { markedColumn } from '../../infra/csv.ts';
import { clickColumns } from '../../ingest/feed/exported-columns.ts';
import type { TimeRange } from '../time/time-range.ts';
import { headOf, type RowFormat } from './row-format.ts';
import { readNumber } from './sql/read-rows.ts';
import { settingsOf } from './sql/read-settings.ts';
import { type Stated, statedRows } from './sql/stated-rows.ts';
import { clickedWithin, minuteWithin } from './sql/within.ts';

export interface ExportSelection extends TimeRange {
  /** All codes under which the countries are stored. Empty for all countries. */
  readonly countries: readonly string[];
  /** Empty for all ads. */
  readonly adIds: readonly string[];
}

export interface ExportOptions {
  /** The limit for a short read. */
  readonly timeoutMs: number;
  /** The limit for a whole export. A client that takes longer is cut off. */
  readonly exportTimeoutMs: number;
}

export function createExportQueries(clickhouse: ClickHouse, { timeoutMs, exportTimeoutMs }: ExportOptions) {
  async function* stream(rows: Sql, format: RowFormat, columns: readonly string[]): AsyncGenerator<Uint8Array> {
    if (format === 'csv') yield Buffer.from(headOf(columns));
    const settings = settingsOf(0, exportTimeoutMs, { max_threads: 1, max_block_size: 8_192 });
    const [text, params] = statement`${rows} ${settings}, date_time_output_format='iso'`;
    yield* clickhouse.stream(text, streamFormats[format], params);
  }
  const counted = (table: ShardedTable, where: Sql, options: ReadOptions): Promise<number> =>
    readNumber(
      clickhouse,
      `rows of ${table}`,
      statement`SELECT count() AS n FROM ${sharded(table)} WHERE ${where} ${settingsOf(1, timeoutMs)}`,
      options,
    );

  return {
    /** Returns rows with their state. Cells that a restatement has emptied are left out. */
    adMinutes: (
      selection: ExportSelection & Stated,
      finalUntil: number | null,
      format: RowFormat,
    ): AsyncIterable<Uint8Array> => stream(minuteRows(selection, finalUntil, format), format, minuteColumns),

    /** Returns about how many rows there are, and never fewer than there are. */
    adMinuteRows: (selection: ExportSelection) =>
      counted(tableOf(selection), minutesWhere(selection), { kind: 'counts' }),

    /** Returns all accepted clicks, also copies. */
    clicks: (selection: ExportSelection, format: RowFormat): AsyncIterable<Uint8Array> =>
      stream(clickRows(selection, format), format, clickColumns),

    clickRows: (selection: ExportSelection) => counted('click_raw', clicksWhere(selection), { kind: 'raw' }),
  };
}

function minuteRows(selection: ExportSelection & Stated, finalUntil: number | null, format: RowFormat): Sql {
  const isNamed = selection.adIds.length > 0;
  const order = isNamed ? sql`ad_id, minute, country, partition` : sql`minute, ad_id, country, partition`;
  const statedOrder = isNamed
    ? sql`stated.ad_id, stated.minute, stated.country, stated.partition`
    : sql`stated.minute, stated.ad_id, stated.country, stated.partition`;
  return sql`SELECT minute, ${textAs(format, 'ad_id')}, ${textAs(format, 'country')}, partition, clicks, duplicates, late,
       revision,
       multiIf(toUnixTimestamp(minute) + 60 > ${Math.floor((finalUntil ?? 0) / 1_000)}, 'provisional',
         revision > 0, 'restated', 'final') AS state,
       clicks + duplicates AS gross, toUInt64(clicks - invalid) AS net, invalid, ${reasonsIn[format]} AS invalid_by, rules
     FROM (
       SELECT minute, ad_id, country, partition, clicks, duplicates, late,
         toUInt16(bitShiftRight(version, 48)) AS revision, invalid, invalid_by, rules
       FROM ${statedRows(tableOf(selection), minutesWhere(selection), { ...selection, reasons: true })}
       ORDER BY ${order}
     ) AS stated
     WHERE clicks > 0 OR duplicates > 0 ORDER BY ${statedOrder}`;
}

function clickRows(selection: ExportSelection, format: RowFormat): Sql {
  const columns = clickColumns.map(column => (timesOfClick.includes(column) ? named(column) : textAs(format, column)));
  return sql`SELECT ${joined(columns, ', ')}
     FROM (
       SELECT * FROM ${sharded('click_raw')} FINAL WHERE ${clicksWhere(selection)}
       ORDER BY toStartOfMinute(clicked_at), ad_id, click_id
     )`;
}

const minuteColumns = [
  ...['minute', 'ad_id', 'country', 'partition', 'clicks', 'duplicates', 'late', 'revision', 'state'],
  ...['gross', 'net', 'invalid', 'invalid_by', 'rules'],
];
/** A map has no form in CSV, so it is JSON there. */
const reasonsIn: Readonly<Record<RowFormat, Sql>> = {
  csv: sql`toJSONString(stated.invalid_by)`,
  ndjson: sql`stated.invalid_by`,
  parquet: sql`stated.invalid_by`,
};
const timesOfClick: readonly string[] = ['clicked_at', 'received_at'];

const streamFormats = { csv: 'CSV', ndjson: 'JSONEachRow', parquet: 'Parquet' } as const;

/**
 * Returns a column in the form that the format needs: in CSV, a text is marked. Also ids that should follow a pattern
 * are marked, because `click_raw` holds whatever somebody has written into the log. The marked text has the name of the
 * column, so an ORDER BY must qualify the column by its table.
 */
function textAs(format: RowFormat, column: string): Sql {
  const text = sql`${named(column)}::String`;
  return sql`${format === 'csv' ? markedColumn(text) : text} AS ${named(column)}`;
}

function tableOf({ adIds }: ExportSelection): 'ad_minute' | 'ad_minute_by_ad' {
  return adIds.length === 0 ? 'ad_minute' : 'ad_minute_by_ad';
}

function minutesWhere(selection: ExportSelection): Sql {
  const { countries } = selection;
  return sql`${minuteWithin(selection)} ${amongAds(selection)}
    ${countries.length === 0 ? noSql : sql`AND country IN ${countries}`}`;
}

function clicksWhere(selection: ExportSelection): Sql {
  return sql`${clickedWithin(selection)} ${amongAds(selection)}`;
}

function amongAds({ adIds }: ExportSelection): Sql {
  return adIds.length === 0 ? noSql : sql`AND ad_id IN ${adIds}`;
}
