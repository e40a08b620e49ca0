/** SQL of all that is kept of one person: clicks and quarantined lines, each with the time until which it is kept. */
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { namesOneOf } from '../../infra/clickhouse/erasing.ts';
import { sharded } from '../../infra/clickhouse/sharded-tables.ts';
import { type Sql, sql, statement } from '../../infra/clickhouse/sql.ts';
import { formOf, formPrefix } from '../../ingest/privacy/erasure-record.ts';
import { settingsOf } from './sql/read-settings.ts';

/** infra/clickhouse/001_click_raw.sql and 005_quarantine.sql have the same number. */
export const personalRowsKeptDays = 35;

export interface PersonRows {
  /** Lines of JSON, `{"kind":"click",…}`. `texts` are those under which the person may be kept. @throws Retryable */
  clicks(texts: readonly string[]): AsyncIterable<Uint8Array>;
  /** `{"kind":"quarantined_line",…}`. @throws Retryable */
  lines(texts: readonly string[]): AsyncIterable<Uint8Array>;
}

export function createPersonRows(
  clickhouse: ClickHouse,
  { exportTimeoutMs }: { readonly exportTimeoutMs: number },
): PersonRows {
  const stream = (rows: Sql) => {
    const settings = settingsOf(0, exportTimeoutMs, { max_threads: 1, max_block_size: 8_192 });
    const [text, params] = statement`${rows} ${settings}, date_time_output_format='iso'`;
    return clickhouse.stream(text, 'JSONEachRow', params);
  };
  return {
    clicks: texts =>
      stream(sql`SELECT 'click' AS kind, *, clicked_at + INTERVAL ${personalRowsKeptDays} DAY AS kept_until
        FROM ${sharded('click_raw')} FINAL WHERE user_id IN ${texts}`),
    lines: texts =>
      stream(sql`SELECT 'quarantined_line' AS kind, *, appended_at + INTERVAL ${personalRowsKeptDays} DAY AS kept_until
        FROM ${sharded('quarantine')} FINAL WHERE ${namesOneOf(
          texts.map(text => formOf(text)),
          formPrefix,
        )}`),
  };
}
