/** Pieces of SQL that read a range as planned: hours and minutes of the roll-up, and the rows of the rest. */

import { sharded } from '../../../infra/clickhouse/sharded-tables.ts';
import { joined, type Sql, sql } from '../../../infra/clickhouse/sql.ts';
import type { TimeRange } from '../../time/time-range.ts';
import { type StatedRange, statedRows } from '../sql/stated-rows.ts';
import { hourMs, type Plan } from './blocks.ts';

/** `(a OR b …)` over half-open ranges of `column`; never true without any. */
export function inRanges(column: Sql, ranges: readonly TimeRange[]): Sql {
  if (ranges.length === 0) return sql`0`;
  const at = (ms: number) => sql`toDateTime(${ms / 1_000}, 'UTC')`;
  const each = ranges.map(({ from, to }) => sql`${column} >= ${at(from)} AND ${column} < ${at(to)}`);
  return sql`(${joined(each, ' OR ')})`;
}

/** Blocks of a plan among the rows of `most_clicked_ads`, which are known by their ends. */
export function blocksWithin({ hours, minutes }: Pick<Plan, 'hours' | 'minutes'>): Sql {
  const ended = (ranges: readonly TimeRange[], windowMs: number) =>
    ranges.map(({ from, to }) => ({ from: from + windowMs, to: to + windowMs }));
  return sql`((window = 60 AND toMinute(ends) = 0 AND ${inRanges(sql`ends`, ended(hours, hourMs))})
    OR (window = 1 AND ${inRanges(sql`ends`, ended(minutes, 60_000))}))`;
}

/** Columns minute (of a block: its begin), country, clicks, duplicates, late of all ads together. `range`: the plan's. */
export function sumsOfAll(plan: Plan, range: StatedRange): Sql {
  return unionOf([
    plan.hours.length + plan.minutes.length > 0 &&
      sql`SELECT ends - window * 60 AS minute, told.1 AS country, told.2 AS clicks,
         told.3 AS duplicates, told.4 AS late
       FROM ${sharded('most_clicked_ads')} FINAL ARRAY JOIN counts AS told WHERE ${blocksWithin(plan)}`,
    plan.rest.length > 0 &&
      sql`SELECT minute, country::String AS country, clicks, duplicates, late
       FROM ${statedRows('ad_minute', inRanges(sql`minute`, plan.rest), range)}`,
  ]);
}

/**
 * Columns minute (of an hour: its begin), ad_id, country, clicks, duplicates, late. `among`: a condition on ad_id,
 * country or both; `isFew`: it leaves few ads, so their rows are looked for where an ad lies together.
 */
export function rowsOfAds({ hours, minutes, rest }: Plan, range: StatedRange, among: Sql, isFew: boolean): Sql {
  const columns = sql`ad_id, country, clicks, duplicates, late`;
  const single = [...minutes, ...rest];
  return unionOf([
    hours.length > 0 &&
      sql`SELECT hour AS minute, ${columns} FROM ${sharded('ad_hour')} FINAL WHERE ${among} AND ${inRanges(sql`hour`, hours)}`,
    single.length > 0 &&
      sql`SELECT minute, ${columns}
        FROM ${statedRows(isFew ? 'ad_minute_by_ad' : 'ad_minute', sql`${among} AND ${inRanges(sql`minute`, single)}`, range)}`,
  ]);
}

function unionOf(parts: readonly (Sql | false)[]): Sql {
  return sql`(${joined(
    parts.filter(part => part !== false),
    ' UNION ALL ',
  )})`;
}
