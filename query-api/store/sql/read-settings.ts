/** The settings of every read of ClickHouse. They are part of the SQL itself (infra/clickhouse/clickhouse.ts). */
import { type Sql, settingsList, sql } from '../../../infra/clickhouse/sql.ts';

/**
 * FINAL does not merge partitions: all copies of a key are in one partition of its table, because the date that decides
 * the partition is computed from the key or never changes for a key. A result with more rows than `maxResultRows` is a
 * fault of the query, so the read fails instead of losing rows.
 */
export function settingsOf(
  maxResultRows: number,
  timeoutMs: number,
  others: Readonly<Record<string, number>> = {},
): Sql {
  const settings = settingsList({
    do_not_merge_across_partitions_select_final: 1,
    output_format_json_quote_64bit_integers: 0,
    max_execution_time: timeoutMs / 1_000,
    max_result_rows: maxResultRows,
    ...others,
  });
  return sql`SETTINGS ${settings}, timeout_overflow_mode='throw', result_overflow_mode='throw'`;
}
