/** Builds the SQL that reads a range as planned: from hours and minutes of the roll-up, and from the rows of the rest. */

import { sharded } from '../../../infra/clickhouse/sharded-tables.ts';
import { joined, noSql, type Sql, sql } from '../../../infra/clickhouse/sql.ts';
import type { TimeRange } from '../../time/time-range.ts';
import { type StatedRange, statedRows } from '../sql/stated-rows.ts';
import { inRanges } from '../sql/within.ts';
import { hourMs, type Plan } from './blocks.ts';

/** SQL that selects the blocks of a plan from `most_clicked_ads`, where a block is found by its end. */
export function blocksWithin({ hours, minutes }: Pick<Plan, 'hours' | 'minutes'>): Sql {
  const ended = (ranges: readonly TimeRange[], windowMs: number) =>
    ranges.map(({ from, to }) => ({ from: from + windowMs, to: to + windowMs }));
  return sql`((window = 60 AND toMinute(ends) = 0 AND ${inRanges('ends', ended(hours, hourMs))})
    OR (window = 1 AND ${inRanges('ends', ended(minutes, 60_000))}))`;
}

/**
 * A table expression with the sums of all ads: the columns minute (the beginning of a block), country, clicks,
 * duplicates, late, invalid. `range` is the range of the plan. With its `reasons`, also invalid_by, rules_low and
 * rules_high: the lowest and the highest version of the rules by which the clicks were judged.
 */
export function sumsOfAll(plan: Plan, range: StatedRange): Sql {
  const [told, ofMinute] = range.reasons
    ? [sql`, told.2 AS invalid_by, told.3 AS rules_low, told.4 AS rules_high`, reasonsOfMinute]
    : [noSql, noSql];
  return unionOf([
    plan.hours.length + plan.minutes.length > 0 &&
      sql`SELECT ends - window * 60 AS minute, each.1 AS country, each.2 AS clicks,
         each.3 AS duplicates, each.4 AS late, told.1 AS invalid ${told}
       FROM ${sharded('most_clicked_ads')} FINAL
       ARRAY JOIN counts AS each, arrayResize(judged, length(counts)) AS told WHERE ${blocksWithin(plan)}`,
    plan.rest.length > 0 &&
      sql`SELECT minute, country::String AS country, clicks, duplicates, late, invalid ${ofMinute}
       FROM ${statedRows('ad_minute', inRanges('minute', plan.rest), range)}`,
  ]);
}

/**
 * A table expression with the columns minute (the beginning of an hour), ad_id, country, and the others of `sumsOfAll`.
 * `among` is a condition on ad_id, country or both. `isFew` says that it selects few ads. Their rows are then read from
 * the table that is sorted by ad.
 */
export function rowsOfAds({ hours, minutes, rest }: Plan, range: StatedRange, among: Sql, isFew: boolean): Sql {
  const columns = sql`ad_id, country, clicks, duplicates, late, invalid`;
  const [ofHour, ofMinute] = range.reasons
    ? [sql`, invalid_by, rules_low, rules_high`, reasonsOfMinute]
    : [noSql, noSql];
  const single = [...minutes, ...rest];
  return unionOf([
    hours.length > 0 &&
      sql`SELECT hour AS minute, ${columns} ${ofHour} FROM ${sharded('ad_hour')} FINAL
        WHERE ${among} AND ${inRanges('hour', hours)}`,
    single.length > 0 &&
      sql`SELECT minute, ${columns} ${ofMinute}
        FROM ${statedRows(isFew ? 'ad_minute_by_ad' : 'ad_minute', sql`${among} AND ${inRanges('minute', single)}`, range)}`,
  ]);
}

const reasonsOfMinute = sql`, invalid_by, rules AS rules_low, rules AS rules_high`;

function unionOf(parts: readonly (Sql | false)[]): Sql {
  return sql`(${joined(
    parts.filter(part => part !== false),
    ' UNION ALL ',
  )})`;
}
