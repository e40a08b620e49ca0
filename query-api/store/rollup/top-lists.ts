/**
 * SQL of top lists: the ads with the most clicks in a range. A list is exact. It is fast when the lists of the range's
 * minutes and hours are enough to compute it. Otherwise it is read from the rows of all ads.
 *
 * The lists are in the order of net clicks. A top list of gross clicks is read from the rows of hours and minutes, as one
 * of a country is: nobody is billed by it, and a second list of each minute would double what the lists take.
 */

import { Type } from 'typebox';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../../infra/clickhouse/sharded-tables.ts';
import { type Sql, sql, statement } from '../../../infra/clickhouse/sql.ts';
import { AdCount, type AdCursor, adSums, rankedAds, type Selection, type StatedSelection } from '../ad-counts.ts';
import { type Reader, type RowOf, readRows, rowShape } from '../sql/read-rows.ts';
import { settingsOf } from '../sql/read-settings.ts';
import { type StatedRange, statedRows } from '../sql/stated-rows.ts';
import { inRanges } from '../sql/within.ts';
import type { Planner } from './block-directory.ts';
import type { Plan } from './blocks.ts';
import { blocksWithin, rowsOfAds } from './rolled-sql.ts';
import { settle, topOf } from './threshold.ts';

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
  duplicates: Type.Integer(),
  invalid: Type.Integer(),
  /** How many lists say nothing about duplicates, because an earlier release has written them. */
  untold: Type.Integer(),
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
    if (all.untold === 0) return topOf([...settled.exact, ...(await lookUp(settled.doubtful, plan, range))], limit);
    // The order is known without them. So only the ads that may be listed are looked up.
    const named = [...topOf(settled.exact, limit).map(({ ad_id }) => ad_id), ...settled.doubtful];
    return topOf(await lookUp(named, plan, range), limit);
  };

  return {
    /** Returns the ads in the order of clicks, then of ad_id, so that equal counts always come in the same order. */
    async popularAds(limit: number, selection: StatedSelection, after?: AdCursor): Promise<AdCount[]> {
      const plan = await directory.plan(selection, { hours: true });
      const isNet = (selection.clicks ?? 'net') === 'net';
      const canList = useLists && isNet && selection.country === undefined && after === undefined;
      const hasLists = canList && plan.hours.length + plan.minutes.length > 0;
      // The beginnings of the lists are usually enough, and are read in a quarter of the time.
      const listed = hasLists
        ? ((await fromLists(limit, depthOf(limit), plan, selection)) ??
          (await fromLists(limit, wholeLists, plan, selection)))
        : undefined;
      return listed ?? (await fromRows(limit, plan, selection, after));
    },
  };
}

/** `settings` returns the settings of a read with at most so many rows. */
function readsOf(clickhouse: Reader, settings: (maxResultRows: number) => Sql) {
  return {
    async fromRows(limit: number, plan: Plan, selection: StatedSelection, after?: AdCursor): Promise<AdCount[]> {
      const rows = rowsOfAds(plan, selection, ofCountries(selection), false);
      return await readRows(
        clickhouse,
        AdCount,
        statement`${rankedAds(rows, limit, selection, { after })} ${settings(limit)}`,
      );
    },

    /**
     * Reads the first `depth` ads of each list. The first row has no ad_id: its bounds are the sum of the bounds of all
     * lists, at the same moment.
     */
    async candidates(limit: number, depth: number, plan: Plan, range: StatedRange): Promise<RowOf<typeof ListedAd>[]> {
      return await readRows(
        clickhouse,
        ListedAd,
        statement`SELECT ad_id, sum(counted.clicks) AS listed, sum(counted.bound) AS bounds,
         sum(counted.duplicates) AS duplicates, sum(counted.invalid) AS invalid, sum(counted.is_untold) AS untold
       FROM (
         SELECT ad.1 AS ad_id, ad.2 AS clicks, aside.1 AS duplicates, aside.2 AS invalid,
           if(length(ads) > ${depth}, greatest(1, ads[${depth + 1}].2), others) AS bound,
           length(beside) < length(ads) AS is_untold
         FROM ${sharded('most_clicked_ads')} FINAL
         ARRAY JOIN arrayPushBack(arraySlice(ads, 1, ${depth}), ('', toUInt64(0))) AS ad,
           arrayResize(arraySlice(beside, 1, ${depth}), least(length(ads), ${depth}) + 1) AS aside
         WHERE ${blocksWithin(plan)}
         UNION ALL
         SELECT ad_id, toUInt64(clicks - invalid) AS clicks, duplicates, invalid, toUInt64(0) AS bound,
           toUInt8(0) AS is_untold
         FROM ${statedRows('ad_minute', inRanges('minute', plan.rest), range)}
       ) AS counted
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
        statement`SELECT ad_id, ${adSums} FROM ${rows} AS counted GROUP BY ad_id ${settings(adIds.length)}`,
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
