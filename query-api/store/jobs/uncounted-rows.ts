/** SQL of late clicks that are in raw and in no count, by ad and minute. */
import { Type } from 'typebox';
import { sharded } from '../../../infra/clickhouse/sharded-tables.ts';
import { sql, statement } from '../../../infra/clickhouse/sql.ts';
import type { TimeRange } from '../../time/time-range.ts';
import { type Reader, type RowOf, readRows, rowShape } from '../sql/read-rows.ts';
import { settingsOf } from '../sql/read-settings.ts';

/** Clicks of one ad and minute. */
const UncountedClicks = rowShape('uncounted clicks', {
  /** Epoch ms. */
  minute: Type.Integer(),
  ad_id: Type.String(),
  /** Distinct clicks in raw. */
  raw: Type.Integer(),
  counted: Type.Integer(),
  /** At least this many clicks are in no count: `raw` minus `counted` minus late lines that came after the range. */
  clicks: Type.Integer(),
});
export type UncountedClicks = RowOf<typeof UncountedClicks>;

const Hour = rowShape('hours of late lines', { hour: Type.Integer() });

/**
 * Looks at lines that came in a range of time, of clicks from `since` on, both in epoch ms. Rows are read without FINAL,
 * because copies of a row do not change the number of distinct ids and lines.
 */
export async function readUncounted(
  clickhouse: Reader,
  { from, to }: TimeRange,
  since: number,
): Promise<readonly UncountedClicks[]> {
  const late = sql`reason = 'too_late' AND clicked_at >= ${since}`;
  const minute = sql`toDateTime(intDiv(clicked_at, 60000) * 60, 'UTC')`;
  return await readRows(
    clickhouse,
    UncountedClicks,
    statement`
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

/** The number of pairs of ad and minute that are listed for an hour. */
const pairsPerHour = 1_000;
const timeoutMs = 60_000;

/** Returns the hours (epoch ms) of the range in which lines came too late, of clicks from `since` on. */
export async function readHoursOfLines(clickhouse: Reader, { from, to }: TimeRange, since: number): Promise<number[]> {
  const rows = await readRows(
    clickhouse,
    Hour,
    statement`SELECT DISTINCT toInt64(intDiv(toUnixTimestamp64Milli(appended_at), ${hourMs})) * ${hourMs} AS hour
      FROM ${sharded('quarantine')}
      WHERE reason = 'too_late' AND clicked_at >= ${since} AND appended_at >= ${at(from)} AND appended_at < ${at(to)}
      ${settingsOf(mostHours, timeoutMs, { max_threads: 1 })}`,
  );
  return rows.map(({ hour }) => hour);
}

const at = (ms: number) => sql`fromUnixTimestamp64Milli(${ms}, 'UTC')`;
const hourMs = 3_600_000;
/** More hours than the log keeps clicks for. */
const mostHours = 1_000;
