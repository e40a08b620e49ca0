/** Late clicks that stand in raw and in no count, as the rows show them by ad and minute. */
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../../infra/clickhouse/sharded-tables.ts';
import { sql, statement } from '../../../infra/clickhouse/sql.ts';
import type { TimeRange } from '../../time/time-range.ts';
import { settingsOf } from '../sql/read-settings.ts';

/** Of one ad and minute. */
export interface UncountedClicks {
  /** Epoch ms. */
  readonly minute: number;
  readonly ad_id: string;
  /** Distinct clicks in raw. */
  readonly raw: number;
  readonly counted: number;
  /** At least so many are in no count: those less the lines that came too late just now. */
  readonly clicks: number;
}

/** Lines that came in `arrival` (epoch ms). Copies of a row do no harm to distinct ids and lines, so they are read without FINAL. */
export async function readUncounted(
  clickhouse: Pick<ClickHouse, 'query'>,
  { from, to }: TimeRange,
  since: number,
): Promise<readonly UncountedClicks[]> {
  const at = (ms: number) => sql`fromUnixTimestamp64Milli(${ms}, 'UTC')`;
  const late = sql`reason = 'too_late' AND clicked_at >= ${since}`;
  const minute = sql`toDateTime(intDiv(clicked_at, 60000) * 60, 'UTC')`;
  return await clickhouse.query(
    ...statement`
    WITH late AS (
      SELECT DISTINCT ${minute} AS m, ad_id AS ad FROM ${sharded('quarantine')}
      WHERE ${late} AND appended_at >= ${at(from)} AND appended_at < ${at(to)}
    ),
    fresh AS (
      SELECT ${minute} AS fm, ad_id AS fad, uniqExact(partition, offset, line) AS fresh_lines FROM ${sharded('quarantine')}
      WHERE ${late} AND appended_at >= ${at(to)} AND (${minute}, ad_id) IN (SELECT m, ad FROM late) GROUP BY fm, fad
    ),
    stated AS (
      SELECT minute AS sm, ad_id AS sad, sum(clicks) AS stated_clicks FROM ${sharded('ad_minute')} FINAL
      WHERE (minute, ad_id) IN (SELECT m, ad FROM late) GROUP BY sm, sad
    ),
    received AS (
      SELECT toStartOfMinute(clicked_at) AS rm, ad_id AS rad, uniqExact(event_id) AS raw_clicks FROM ${sharded('click_raw')}
      WHERE (toStartOfMinute(clicked_at), ad_id) IN (SELECT m, ad FROM late) GROUP BY rm, rad
    )
    SELECT toUnixTimestamp(rm) * 1000 AS minute, rad AS ad_id, raw_clicks AS raw, stated_clicks AS counted,
      toInt64(raw_clicks) - toInt64(stated_clicks) - toInt64(fresh_lines) AS clicks
    FROM received LEFT JOIN stated ON rm = sm AND rad = sad LEFT JOIN fresh ON rm = fm AND rad = fad
    WHERE clicks > 0 ORDER BY clicks DESC LIMIT ${pairsPerHour} 
    ${settingsOf(pairsPerHour, timeoutMs, { join_use_nulls: 0, max_threads: 1 })}`,
  );
}

/** Ads and minutes of an hour that are told apart. */
const pairsPerHour = 1_000;
const timeoutMs = 60_000;
