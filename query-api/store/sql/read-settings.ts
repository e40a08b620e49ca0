/** What every read of ClickHouse carries; settings stand in the SQL itself (infra/clickhouse/clickhouse.ts). */
import { type Sql, settingsList, sql } from '../../../infra/clickhouse/sql.ts';

/**
 * All copies of a key lie in one partition of its table (its date is a function of the key, or stands fast with it), so
 * FINAL need not merge partitions. A result with more rows than asked for is a fault of the query, so it throws rather
 * than being cut.
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
