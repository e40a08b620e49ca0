/**
 * SQL of top lists: the ads with the most clicks in a range. A list is exact. It is fast when the lists of the range's
 * minutes and hours are enough to compute it. Otherwise it is read from the rows of all ads.
 */

import { Type } from 'typebox';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../../infra/clickhouse/sharded-tables.ts';
import { noSql, type Sql, sql, statement } from '../../../infra/clickhouse/sql.ts';
import { AdCount, type AdCursor, beyond, type Selection, type StatedSelection } from '../ad-counts.ts';
import { type Reader, readRows, rowShape } from '../sql/read-rows.ts';
import { settingsOf } from '../sql/read-settings.ts';
import { type StatedRange, statedRows } from '../sql/stated-rows.ts';
import type { Planner } from './block-directory.ts';
import type { Plan } from './blocks.ts';
import { blocksWithin, inRanges, rowsOfAds } from './rolled-sql.ts';
import { type Listed, settle, topOf } from './threshold.ts';

export type TopQueries = ReturnType<typeof createTopQueries>;

export interface TopOptions {
  readonly timeoutMs: number;
  /** Limits the threads of a read that should not slow down others. */
  readonly maxThreads?: number;
  /** Returns how many ads of each list are read first, when `limit` ads are asked for. */
  readonly depthOf?: (limit: number) => number;
  /** False where the stored lists of all ads together are not those that are asked for. */
  readonly useLists?: boolean;
}

const ListedAd = rowShape('lists of most_clicked_ads', {
  ad_id: Type.String(),
  listed: Type.Integer(),
  bounds: Type.Integer(),
});

export function createTopQueries(
  clickhouse: ClickHouse,
  directory: Planner,
  { timeoutMs, maxThreads, depthOf = limit => 4 * limit + 100, useLists = true }: TopOptions,
) {
  const threads = maxThreads === undefined ? {} : { max_threads: maxThreads };
  const { fromRows, candidates, lookUp } = readsOf(clickhouse, rows => settingsOf(rows, timeoutMs, threads));

  const fromLists = async (
    limit: number,
    depth: number,
    plan: Plan,
    range: StatedRange,
  ): Promise<AdCount[] | undefined> => {
    const looked = 2 * limit + 400;
    const [all, ...ads] = await candidates(looked, depth, plan, range);
    if (all === undefined || all.ad_id !== '') return undefined;
    const settled = settle(ads, all.bounds, limit, ads.length < looked);
    if (settled === undefined) return undefined;
    return topOf([...settled.exact, ...(await lookUp(settled.doubtful, plan, range))], limit);
  };

  return {
    /** Returns the ads in the order of clicks, then of ad_id, so that equal counts always come in the same order. */
    async popularAds(limit: number, selection: StatedSelection, after?: AdCursor): Promise<AdCount[]> {
      const plan = await directory.plan(selection, { hours: true });
      const canList = useLists && selection.country === undefined && after === undefined;
      const hasLists = canList && plan.hours.length + plan.minutes.length > 0;
      // The beginnings of the lists are usually enough, and are read in a quarter of the time.
      const listed = hasLists
        ? ((await fromLists(limit, depthOf(limit), plan, selection)) ??
          (await fromLists(limit, wholeLists, plan, selection)))
        : undefined;
      return listed ?? (await fromRows(limit, plan, selection, ofCountries(selection), after));
    },
  };
}

/** `settings` returns the settings of a read with at most so many rows. */
function readsOf(clickhouse: Reader, settings: (maxResultRows: number) => Sql) {
  return {
    async fromRows(limit: number, plan: Plan, range: StatedRange, among: Sql, after?: AdCursor): Promise<AdCount[]> {
      return await readRows(
        clickhouse,
        AdCount,
        statement`SELECT ad_id, sum(clicks) AS count FROM ${rowsOfAds(plan, range, among, false)}
        GROUP BY ad_id HAVING count > 0 ${after === undefined ? noSql : sql`AND ${beyond(after)}`}
        ORDER BY count DESC, ad_id LIMIT ${limit} ${settings(limit)}`,
      );
    },

    /**
     * Reads the first `depth` ads of each list. The first row has no ad_id: its bounds are the sum of the bounds of all
     * lists, at the same moment.
     */
    async candidates(limit: number, depth: number, plan: Plan, range: StatedRange): Promise<Listed[]> {
      return await readRows(
        clickhouse,
        ListedAd,
        statement`SELECT ad_id, sum(clicks) AS listed, sum(bound) AS bounds
       FROM (
         SELECT ad.1 AS ad_id, ad.2 AS clicks,
           if(length(ads) > ${depth}, ads[${depth + 1}].2, others) AS bound
         FROM ${sharded('most_clicked_ads')} FINAL
         ARRAY JOIN arrayPushBack(arraySlice(ads, 1, ${depth}), ('', toUInt64(0))) AS ad
         WHERE ${blocksWithin(plan)}
         UNION ALL
         SELECT ad_id, clicks, toUInt64(0) AS bound
         FROM ${statedRows('ad_minute', inRanges(sql`minute`, plan.rest), range)}
       )
       GROUP BY ad_id ORDER BY ad_id = '' DESC, toInt64(listed) - toInt64(bounds) DESC, ad_id
       LIMIT ${limit + 1} ${settings(limit + 1)}`,
      );
    },

    async lookUp(adIds: readonly string[], plan: Plan, range: StatedRange): Promise<AdCount[]> {
      if (adIds.length === 0) return [];
      const rows = rowsOfAds(plan, range, sql`ad_id IN ${adIds}`, true);
      return await readRows(
        clickhouse,
        AdCount,
        statement`SELECT ad_id, sum(clicks) AS count FROM ${rows} GROUP BY ad_id ${settings(adIds.length)}`,
      );
    },
  };
}

const wholeLists = 1_000_000;

function ofCountries({ country }: Selection): Sql {
  if (country === undefined) return sql`1`;
  if (typeof country === 'string') return sql`country = ${country}`;
  const isOut = sql`country NOT IN ${country.out}`;
  return country.in ? sql`country IN ${country.in} AND ${isOut}` : isOut;
}
