/** SQL over one ad, several or all of them: sums, series, countries, search. Rules as in ad-counts.ts. */

import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { noSql, type Sql, sql, statement } from '../../infra/clickhouse/sql.ts';
import { type Step, stepsIn } from '../time/steps.ts';
import {
  type AdCursor,
  beyond,
  type Counts,
  countryName,
  noClicks,
  type Selection,
  type StatedSelection,
  sums,
  within,
} from './ad-counts.ts';
import { type BlockDirectoryOptions, createBlockDirectory } from './rollup/block-directory.ts';
import { hourMs } from './rollup/blocks.ts';
import { createRolledRows } from './rollup/rolled-rows.ts';
import { settingsOf } from './sql/read-settings.ts';
import { isVisible } from './sql/stated-rows.ts';
import { startOf } from './sql/step-start.ts';

/** Which ads; empty: all of them. */
export type AdIds = readonly string[];

export interface SeriesRow extends Counts {
  /** Epoch ms. */
  readonly start: number;
  /** Empty where all ads are summed. */
  readonly ad_id: string;
}

export interface AdRank {
  readonly ad_id: string;
  readonly count: number;
  readonly rank: number;
}

export interface AdFound {
  readonly ad_id: string;
  readonly count: number;
}

/** What an id must be like: how it begins, and what stands anywhere in it, in capital or small letters. Empty: anything. */
export interface AdName {
  readonly prefix: string;
  readonly text: string;
}

export type GroupQueries = ReturnType<typeof createGroupQueries>;

export const countriesListed = 300;

export function createGroupQueries(clickhouse: ClickHouse, options: BlockDirectoryOptions) {
  const { timeoutMs } = options;
  const settings = (maxResultRows: number) => settingsOf(maxResultRows, timeoutMs);
  const rows = createRolledRows(createBlockDirectory(clickhouse, options));
  const ads = async (from: Sql, where: Sql, limit: number, after: AdCursor | undefined): Promise<AdFound[]> =>
    await clickhouse.query(
      ...statement`SELECT ad_id, sum(clicks) AS count FROM ${from} WHERE ${where}
       GROUP BY ad_id HAVING count > 0 ${after === undefined ? noSql : sql`AND ${beyond(after)}`}
       ORDER BY count DESC, ad_id LIMIT ${limit} ${settings(limit)}`,
    );
  return {
    async totals(adIds: AdIds, selection: StatedSelection): Promise<Counts> {
      const [row] = await clickhouse.query<Counts>(
        ...statement`SELECT ${sums} FROM ${await rows.of(adIds, selection, { hours: true })} WHERE ${within(selection)} ${settings(1)}`,
      );
      return row ?? noClicks;
    },

    /** Sums per step, of each ad that is named or of all together; steps without rows are left out. */
    async series(adIds: AdIds, step: Step, selection: StatedSelection): Promise<SeriesRow[]> {
      return await clickhouse.query(
        ...statement`SELECT ${nameOf(adIds)} AS ad_id, ${startOf(sql`minute`, step)} AS start, ${sums}
         FROM ${await rows.of(adIds, selection, { hours: isOfHours(step) })} WHERE ${within(selection)}
         GROUP BY ad_id, start ORDER BY ad_id, start ${settings(rowsOf(adIds, step, selection))}`,
      );
    },

    /** The steps of those series that hold a restated count. */
    async restatedSteps(
      adIds: AdIds,
      step: Step,
      selection: Selection,
    ): Promise<{ readonly ad_id: string; readonly start: number }[]> {
      return await clickhouse.query(
        ...statement`SELECT DISTINCT ${nameOf(adIds)} AS ad_id, ${startOf(sql`minute`, step)} AS start FROM restatement FINAL
         WHERE ${among(adIds)} ${within(selection)} AND ${isVisible(selection)}
         ${settings(rowsOf(adIds, step, selection))}`,
      );
    },

    /** By clicks, then by name. */
    async countries(adIds: AdIds, selection: StatedSelection): Promise<(Counts & { readonly country: string })[]> {
      return await clickhouse.query(
        ...statement`SELECT name AS country, count, duplicates, late FROM (
           SELECT ${countryName(sql`country`)} AS name, ${sums}
           FROM ${await rows.of(adIds, selection, { hours: true })} WHERE ${within(selection)}
           GROUP BY name HAVING count > 0 OR duplicates > 0
         ) ORDER BY count DESC, country LIMIT ${countriesListed} ${settings(countriesListed)}`,
      );
    },

    /** Places of some ads in the top list of all; those without clicks have none. */
    async ranks(adIds: AdIds, selection: StatedSelection): Promise<AdRank[]> {
      return await clickhouse.query(
        ...statement`SELECT ad_id, count, rank FROM (
           SELECT ad_id, sum(clicks) AS count, row_number() OVER (ORDER BY sum(clicks) DESC, ad_id) AS rank
           FROM ${await rows.ofPrefix('', selection)} WHERE ${within(selection)} GROUP BY ad_id HAVING count > 0
         ) WHERE ad_id IN ${adIds} ${settings(adIds.length)}`,
      );
    },

    /** Ads whose id begins so, by clicks, then by ad_id. */
    async adsByPrefix(prefix: string, limit: number, selection: StatedSelection, after?: AdCursor): Promise<AdFound[]> {
      return await ads(await rows.ofPrefix(prefix, selection), within(selection), limit, after);
    },

    /** Ads in whose id both stand, `text` in capital or small letters anywhere in it; in the same order. */
    async adsByText(
      { prefix, text }: AdName,
      limit: number,
      selection: StatedSelection,
      after?: AdCursor,
    ): Promise<AdFound[]> {
      const where = sql`${within(selection)} AND startsWith(ad_id, ${prefix})`;
      return await ads(await rows.ofText(text, selection), where, limit, after);
    },
  };
}

/**
 * Whether no step begins within an hour of UTC, as some of local time do. The first may: it begins with the range, and an
 * hour that the range cuts is read from its minutes.
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
