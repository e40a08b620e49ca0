/** SQL over one ad, several ads or all of them: sums, series, countries, search. Rules as in ad-counts.ts. */

import { Type } from 'typebox';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { noSql, type Sql, sql, statement } from '../../infra/clickhouse/sql.ts';
import { type Step, stepsIn } from '../time/steps.ts';
import {
  AdCount,
  type AdCursor,
  adSums,
  Counts,
  countryName,
  kindOf,
  noClicks,
  rankedAds,
  type Selection,
  type StatedSelection,
  sumsOf,
  within,
} from './ad-counts.ts';
import { type BlockDirectory, type BlockDirectoryOptions, createBlockDirectory } from './rollup/block-directory.ts';
import { hourMs } from './rollup/blocks.ts';
import { createRolledRows } from './rollup/rolled-rows.ts';
import { type RowOf, readRow, readRows, rowShape } from './sql/read-rows.ts';
import { settingsOf } from './sql/read-settings.ts';
import { isVisible } from './sql/stated-rows.ts';
import { startOf } from './sql/step-start.ts';

/** The ads that are asked about. Empty for all ads. */
export type AdIds = readonly string[];

const countColumns = Counts.columns.properties;
const stepColumns = {
  /** Epoch ms. */
  start: Type.Integer(),
  /** Empty where all ads are summed. */
  ad_id: Type.String(),
};

const SeriesRow = rowShape('a series', { ...countColumns, ...stepColumns });
export type SeriesRow = RowOf<typeof SeriesRow>;

const RestatedStep = rowShape('restated steps', stepColumns);
export type RestatedStep = RowOf<typeof RestatedStep>;

const CountryCounts = rowShape('counts by country', { ...countColumns, country: Type.String() });
export type CountryCounts = RowOf<typeof CountryCounts>;

const AdRank = rowShape('ranks of ads', { ...AdCount.columns.properties, rank: Type.Integer() });
export type AdRank = RowOf<typeof AdRank>;

/** An ad that a search has found. */
export type AdFound = AdCount;

/**
 * What the id of an ad must be like: it begins with `prefix`, and contains `text` in capital or small letters. An empty
 * text allows any id.
 */
export interface AdName {
  readonly prefix: string;
  readonly text: string;
}

export type GroupQueries = ReturnType<typeof createGroupQueries>;

export interface GroupOptions extends BlockDirectoryOptions {
  /** Given where `clickhouse` has some ads alone: sums are read by ad, in the hours of this directory. */
  readonly byAd?: BlockDirectory;
}

/** A code has two letters. None of them is ever left out. */
export const mostCountries = 26 * 26;

/** Long because it holds one short question after another. Each of them can be read on its own. */
export function createGroupQueries(clickhouse: ClickHouse, options: GroupOptions) {
  const { timeoutMs, byAd } = options;
  const settings = (maxResultRows: number) => settingsOf(maxResultRows, timeoutMs);
  const rows = createRolledRows(byAd ?? createBlockDirectory(clickhouse, options), { useSums: byAd === undefined });
  const ads = async (
    from: Sql,
    where: Sql,
    limit: number,
    selection: StatedSelection,
    after: AdCursor | undefined,
  ): Promise<AdFound[]> =>
    await readRows(
      clickhouse,
      AdCount,
      // Who searches finds an ad that was clicked, also if none of its clicks is billed.
      statement`${rankedAds(from, limit, selection, { after, where, listed: 'gross' })} ${settings(limit)}`,
    );
  return {
    async totals(adIds: AdIds, selection: StatedSelection): Promise<Counts> {
      const row = await readRow(
        clickhouse,
        Counts,
        statement`SELECT ${sumsOf(selection)} FROM ${await rows.of(adIds, selection, { hours: true })} AS counted
         WHERE ${within(selection)} ${settings(1)}`,
      );
      return row ?? noClicks;
    },

    /** Returns the sums of each step, for each named ad or for all ads together. Steps without rows are left out. */
    async series(adIds: AdIds, step: Step, selection: StatedSelection): Promise<SeriesRow[]> {
      return await readRows(
        clickhouse,
        SeriesRow,
        statement`SELECT ${nameOf(adIds)} AS ad_id, ${startOf(sql`minute`, step)} AS start, ${sumsOf(selection)}
         FROM ${await rows.of(adIds, selection, { hours: isOfHours(step) })} AS counted WHERE ${within(selection)}
         GROUP BY ad_id, start ORDER BY ad_id, start ${settings(rowsOf(adIds, step, selection))}`,
      );
    },

    /** Returns the steps of these series that contain a restated count. */
    async restatedSteps(adIds: AdIds, step: Step, selection: Selection): Promise<RestatedStep[]> {
      return await readRows(
        clickhouse,
        RestatedStep,
        statement`SELECT DISTINCT ${nameOf(adIds)} AS ad_id, ${startOf(sql`minute`, step)} AS start FROM restatement FINAL
         WHERE ${among(adIds)} ${within(selection)} AND ${isVisible(selection)}
         ${settings(rowsOf(adIds, step, selection))}`,
      );
    },

    /** Returns the countries in the order of clicks of a kind, then of their codes. */
    async countries(adIds: AdIds, selection: StatedSelection): Promise<CountryCounts[]> {
      return await readRows(
        clickhouse,
        CountryCounts,
        statement`SELECT name AS country, * EXCEPT (name, ordered) FROM (
           SELECT ${countryName(sql`country`)} AS name, ${kindOf[selection.clicks ?? 'net']} AS ordered, ${sumsOf(selection)}
           FROM ${await rows.of(adIds, selection, { hours: true })} AS counted WHERE ${within(selection)}
           GROUP BY name HAVING count > 0 OR duplicates > 0
         ) ORDER BY ordered DESC, country LIMIT ${mostCountries} ${settings(mostCountries)}`,
      );
    },

    /** Returns the ranks of these ads in the top list of all ads. An ad without clicks of the kind has no rank. */
    async ranks(adIds: AdIds, selection: StatedSelection): Promise<AdRank[]> {
      const kind = kindOf[selection.clicks ?? 'net'];
      return await readRows(
        clickhouse,
        AdRank,
        statement`SELECT ad_id, count, duplicates, invalid, rank FROM (
           SELECT ad_id, ${adSums}, row_number() OVER (ORDER BY ${kind} DESC, ad_id) AS rank
           FROM ${await rows.ofPrefix('', selection)} AS counted WHERE ${within(selection)}
           GROUP BY ad_id HAVING ${kind} > 0
         ) WHERE ad_id IN ${adIds} ${settings(adIds.length)}`,
      );
    },

    /** Returns the ads whose id begins with `prefix` and that were clicked, in the order of clicks, then of ad_id. */
    async adsByPrefix(prefix: string, limit: number, selection: StatedSelection, after?: AdCursor): Promise<AdFound[]> {
      return await ads(await rows.ofPrefix(prefix, selection), within(selection), limit, selection, after);
    },

    /** Returns the ads whose id has both `prefix` and `text`, in the same order. */
    async adsByText(
      { prefix, text }: AdName,
      limit: number,
      selection: StatedSelection,
      after?: AdCursor,
    ): Promise<AdFound[]> {
      const where = sql`${within(selection)} AND startsWith(ad_id, ${prefix})`;
      return await ads(await rows.ofText(text, selection), where, limit, selection, after);
    },
  };
}

/**
 * Returns whether all steps begin at full hours of UTC. In some time zones they do not. The first step may begin at any
 * minute, because it begins with the range, and an hour that the range cuts is read from its minutes.
 */
function isOfHours(step: Step): boolean {
  return typeof step === 'number' ? step % hourMs === 0 : step.slice(1).every(start => start % hourMs === 0);
}

function nameOf(adIds: AdIds): Sql {
  return adIds.length === 0 ? sql`''` : sql`ad_id`;
}

function among(adIds: AdIds): Sql {
  return adIds.length === 0 ? noSql : sql`ad_id IN ${adIds} AND`;
}

function rowsOf(adIds: AdIds, step: Step, selection: Selection): number {
  return stepsIn(selection, step) * Math.max(1, adIds.length);
}
