/** SQL of bulk exports: long reads in the order of the tables, so that nothing has to be sorted or kept. */

import type { ClickHouse, ReadOptions } from '../../infra/clickhouse/clickhouse.ts';
import { type ShardedTable, sharded } from '../../infra/clickhouse/sharded-tables.ts';
import { joined, named, noSql, type Sql, sql, statement } from '../../infra/clickhouse/sql.ts';
import { markedColumn } from '../../infra/csv.ts';
import { clickColumns } from '../../ingest/feed/exported-columns.ts';
import type { TimeRange } from '../time/time-range.ts';
import { inRanges } from './rollup/rolled-sql.ts';
import { headOf, type RowFormat } from './row-format.ts';
import { settingsOf } from './sql/read-settings.ts';
import { type Stated, statedRows } from './sql/stated-rows.ts';

export type ExportQueries = ReturnType<typeof createExportQueries>;

export interface ExportSelection extends TimeRange {
  /** Codes under which it stands; empty: all. */
  readonly countries: readonly string[];
  /** Empty: all. */
  readonly adIds: readonly string[];
}

export interface ExportOptions {
  /** Of a short read. */
  readonly timeoutMs: number;
  /** Of a whole export; a client that takes longer is cut off. */
  readonly exportTimeoutMs: number;
}

export function createExportQueries(clickhouse: ClickHouse, { timeoutMs, exportTimeoutMs }: ExportOptions) {
  async function* stream(rows: Sql, format: RowFormat, columns: readonly string[]): AsyncGenerator<Uint8Array> {
    if (format === 'csv') yield Buffer.from(headOf(columns));
    const settings = settingsOf(0, exportTimeoutMs, { max_threads: 1, max_block_size: 8_192 });
    const [text, params] = statement`${rows} ${settings}, date_time_output_format='iso'`;
    yield* clickhouse.stream(text, streamFormats[format], params);
  }
  const counted = async (table: ShardedTable, where: Sql, of: ReadOptions): Promise<number> => {
    const [text, params] =
      statement`SELECT count() AS n FROM ${sharded(table)} WHERE ${where} ${settingsOf(1, timeoutMs)}`;
    const [row] = await clickhouse.query<{ n: number }>(text, params, of);
    return row?.n ?? 0;
  };

  return {
    /** Rows with their state; those of cells that a restatement has emptied are left out. */
    adMinutes(
      selection: ExportSelection & Stated,
      finalUntil: number | null,
      format: RowFormat,
    ): AsyncIterable<Uint8Array> {
      const isNamed = selection.adIds.length > 0;
      const order = isNamed ? sql`ad_id, minute, country, partition` : sql`minute, ad_id, country, partition`;
      const toldOrder = isNamed
        ? sql`told.ad_id, told.minute, told.country, told.partition`
        : sql`told.minute, told.ad_id, told.country, told.partition`;
      return stream(
        sql`SELECT minute, ${textAs(format, 'ad_id')}, ${textAs(format, 'country')}, partition, clicks, duplicates, late,
           revision,
           multiIf(toUnixTimestamp(minute) + 60 > ${Math.floor((finalUntil ?? 0) / 1_000)}, 'provisional',
             revision > 0, 'restated', 'final') AS state
         FROM (
           SELECT minute, ad_id, country, partition, clicks, duplicates, late,
             toUInt16(bitShiftRight(version, 48)) AS revision
           FROM ${statedRows(tableOf(selection), minutesWhere(selection), selection)} ORDER BY ${order}
         ) AS told
         WHERE clicks > 0 OR duplicates > 0 ORDER BY ${toldOrder}`,
        format,
        minuteColumns,
      );
    },

    /** About how many; at least as many. */
    adMinuteRows: (selection: ExportSelection) =>
      counted(tableOf(selection), minutesWhere(selection), { kind: 'counts' }),

    /** All accepted clicks, copies too. */
    clicks(selection: ExportSelection, format: RowFormat): AsyncIterable<Uint8Array> {
      const columns = clickColumns.map(column =>
        timesOfClick.includes(column) ? named(column) : textAs(format, column),
      );
      return stream(
        sql`SELECT ${joined(columns, ', ')}
         FROM (
           SELECT * FROM ${sharded('click_raw')} FINAL WHERE ${clicksWhere(selection)}
           ORDER BY toStartOfMinute(clicked_at), ad_id, click_id
         )`,
        format,
        clickColumns,
      );
    },

    clickRows: (selection: ExportSelection) => counted('click_raw', clicksWhere(selection), { kind: 'raw' }),
  };
}

const minuteColumns = ['minute', 'ad_id', 'country', 'partition', 'clicks', 'duplicates', 'late', 'revision', 'state'];
const timesOfClick: readonly string[] = ['clicked_at', 'received_at'];

const streamFormats = { csv: 'CSV', ndjson: 'JSONEachRow', parquet: 'Parquet' } as const;

/**
 * A column as the format has it: marked in CSV. Also ids that have to have a pattern, as raw is what anybody has written
 * into the log. Whoever sorts by the column names its table: its own name is that of the marked text.
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
  return sql`${inRanges(sql`minute`, [selection])} ${amongAds(selection)}
    ${countries.length === 0 ? noSql : sql`AND country IN ${countries}`}`;
}

function clicksWhere(selection: ExportSelection): Sql {
  return sql`${inRanges(sql`toStartOfMinute(clicked_at)`, [selection])} AND ${inRanges(sql`clicked_at`, [selection])}
    ${amongAds(selection)}`;
}

function amongAds({ adIds }: ExportSelection): Sql {
  return adIds.length === 0 ? noSql : sql`AND ad_id IN ${adIds}`;
}
