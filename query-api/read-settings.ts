/** What every read of ClickHouse carries; settings stand in the SQL itself (infra/clickhouse.ts). */

/**
 * All copies of a key lie in one partition of its table (its date is a function of the key, or stands fast with it), so
 * FINAL need not merge partitions. A result with more rows than asked for is a fault of the query, so it throws rather
 * than being cut.
 */
export function settingsOf(maxResultRows: number, timeoutMs: number): string {
  return `SETTINGS do_not_merge_across_partitions_select_final=1, output_format_json_quote_64bit_integers=0,
    max_execution_time=${timeoutMs / 1_000}, timeout_overflow_mode='throw',
    max_result_rows=${maxResultRows}, result_overflow_mode='throw'`;
}

/** For SQL without parameters. */
export function integer(value: number): string {
  if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is not an integer`);
  return String(value);
}

/** The same for text: hexadecimal digits can close no quote. */
export function literal(text: string): string {
  return `unhex('${Buffer.from(text).toString('hex')}')`;
}
