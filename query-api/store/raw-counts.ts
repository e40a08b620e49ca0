/**
 * SQL that counts clicks from `click_raw`, by what `ad_minute` does not have: users and addresses.
 *
 * A click is an event id within its ad and minute. Its country and user are those of its first copy. So each click
 * belongs to exactly one country and to at most one user, even when its copies differ.
 *
 * Every read also says whether raw has the same clicks as the counts of these ads and minutes, before any filter. Raw
 * may be behind, because it is inserted separately. It may be ahead, because a click that came too late is in raw at
 * once, and is counted only when its minute is restated. In each partition, raw is a prefix of the log. So if all
 * clicks of an ad are in one partition, and raw has as many of its clicks in a minute as are counted, it has the same
 * ones. For an ad that is split over partitions the number alone proves nothing, and raw does not know partitions. Then
 * the caller has to know how far raw is (`readings.ts`).
 *
 * All these numbers are compared at once, by a sum in which each number is multiplied by a 64-bit hash of its ad and
 * minute. Sums and products wrap around. Different numbers have the same sum with a probability of 2^-64.
 */

import { Type } from 'typebox';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../infra/clickhouse/sharded-tables.ts';
import { noSql, type Sql, sql, statement } from '../../infra/clickhouse/sql.ts';
import { type Step, stepsIn } from '../time/steps.ts';
import { type AdCursor, countryName } from './ad-counts.ts';
import type { ClickFilter } from './filters/click-filter.ts';
import { conditionOf } from './filters/filter-sql.ts';
import { type AdIds, type AdName, type AdRank, mostCountries } from './group-counts.ts';
import type { ClickKind } from './net-and-gross.ts';
import { type RowOf, readRow, readRows, rowShape } from './sql/read-rows.ts';
import { settingsOf } from './sql/read-settings.ts';
import { type StatedRange, statedRows } from './sql/stated-rows.ts';
import { startOf } from './sql/step-start.ts';
import { clickedWithin, minuteWithin } from './sql/within.ts';

export interface RawSelection extends StatedRange {
  readonly adIds: AdIds;
  /** Only ads with such an id. Left out for any id. */
  readonly name?: AdName | undefined;
  readonly filter: ClickFilter;
  /** Whether users are estimated. If not, `users` is 0. */
  readonly uniques: boolean;
  /** By which clicks ads are ordered. Raw clicks do not say which are invalid, so `net` stands for distinct clicks. */
  readonly clicks?: ClickKind;
}

const RawCounts = rowShape('raw counts', {
  count: Type.Integer(),
  duplicates: Type.Integer(),
  /** Distinct users, estimated. */
  users: Type.Integer(),
});
export type RawCounts = RowOf<typeof RawCounts>;

export type RawRank = Omit<AdRank, 'invalid'>;

/** `differs` is 1 where the number of clicks in raw is not the number that is counted. */
const Compared = rowShape('comparison of raw clicks with counts', { differs: Type.Integer() });
export type Compared = RowOf<typeof Compared>;

const comparedCounts = { ...RawCounts.columns.properties, ...Compared.columns.properties };
const RawTotals = rowShape('raw counts', comparedCounts);
const RawStep = rowShape('a series of raw counts', {
  ...comparedCounts,
  ad_id: Type.String(),
  start: Type.Integer(),
});
const RawCountry = rowShape('raw counts by country', { ...comparedCounts, country: Type.String() });

/** Tuples of the number that gives the order (negative), ad, clicks, duplicates, users. */
const RawTop = rowShape('top list of raw clicks', {
  ...Compared.columns.properties,
  top: Type.Array(Type.Tuple([Type.Integer(), Type.String(), Type.Integer(), Type.Integer(), Type.Integer()])),
});

/** Tuples of ad, clicks, duplicates, rank. */
const RawRanks = rowShape('ranks of raw clicks', {
  ...Compared.columns.properties,
  found: Type.Array(Type.Tuple([Type.String(), Type.Integer(), Type.Integer(), Type.Integer()])),
});

const ExactUsers = rowShape('exact users', {
  /** The ad or the country. */
  name: Type.String(),
  users: Type.Integer(),
  /** All clicks of the group, also clicks without a user. */
  count: Type.Integer(),
});
export type ExactUsers = RowOf<typeof ExactUsers>;

export type RawQueries = ReturnType<typeof createRawQueries>;

/** Long because it holds one short question after another. Each of them can be read on its own. */
export function createRawQueries(clickhouse: ClickHouse, { timeoutMs }: { readonly timeoutMs: number }) {
  const settings = (rows: number) => settingsOf(rows, timeoutMs, { max_memory_usage: maxMemoryBytes });
  return {
    async totals(selection: RawSelection): Promise<RawCounts & Compared> {
      const row = await readRow(
        clickhouse,
        RawTotals,
        statement`${groupsBy(keys.all, selection)} SELECT count, duplicates, users, differs FROM groups ${settings(1)}`,
      );
      return row ?? { count: 0, duplicates: 0, users: 0, differs: 0 };
    },

    /** Compares each step on its own. Steps that have no clicks in raw and in the counts are left out. */
    async series(selection: RawSelection, step: Step): Promise<RowOf<typeof RawStep>[]> {
      const names = Math.max(1, selection.adIds.length);
      const key = sql`(${selection.adIds.length === 0 ? sql`''` : sql`ad`}, ${startOf(sql`m`, step)})`;
      return await readRows(
        clickhouse,
        RawStep,
        statement`${groupsBy(key, selection)}
         SELECT key.1 AS ad_id, key.2 AS start, count, duplicates, users, differs FROM groups
         ORDER BY ad_id, start ${settings(names * stepsIn(selection, step))}`,
      );
    },

    /** Returns the ads in the order of clicks, then of ad_id. */
    async popularAds(
      limit: number,
      selection: RawSelection,
      after?: AdCursor,
    ): Promise<Compared & { readonly ads: (RawCounts & { readonly ad_id: string })[] }> {
      const ordered = orderOf(selection);
      const row = await readRow(
        clickhouse,
        RawTop,
        statement`${groupsBy(keys.ad, selection)}
         SELECT groupArraySortedIf(${limit})(
             (-toInt64(${ordered}), key, count, duplicates, users), count > 0 ${beyond(after, ordered)}
           ) AS top, max(groups.differs) AS differs
         FROM groups ${settings(1)}`,
      );
      const { top, differs } = row ?? { top: [], differs: 0 };
      return { differs, ads: top.map(([, ad_id, count, duplicates, users]) => ({ ad_id, count, duplicates, users })) };
    },

    /** Returns the ranks of these ads in the top list of the selection. An ad without clicks has no rank. */
    async ranks(adIds: AdIds, selection: RawSelection): Promise<Compared & { readonly ranks: readonly RawRank[] }> {
      const row = await readRow(
        clickhouse,
        RawRanks,
        statement`${groupsBy(keys.ad, selection)},
         ranked AS (
           SELECT key, count, duplicates, differs,
             row_number() OVER (ORDER BY ${orderOf(selection)} DESC, key) AS rank FROM groups
         )
         SELECT groupArrayIf((key, count, duplicates, rank), count > 0 AND key IN ${adIds}) AS found,
           max(ranked.differs) AS differs
         FROM ranked ${settings(1)}`,
      );
      const { found, differs } = row ?? { found: [], differs: 0 };
      return { differs, ranks: found.map(([ad_id, count, duplicates, rank]) => ({ ad_id, count, duplicates, rank })) };
    },

    /** Returns the countries in the order of clicks, then of their codes. */
    async countries(
      selection: RawSelection,
    ): Promise<Compared & { readonly countries: (RawCounts & { readonly country: string })[] }> {
      const rows = await readRows(
        clickhouse,
        RawCountry,
        statement`${groupsBy(keys.country, selection)}
         SELECT key AS country, count, duplicates, users, differs FROM groups
         ORDER BY ${orderOf(selection)} DESC, country ${settings(mostCountries)}`,
      );
      const countries = rows.filter(({ count }) => count > 0).map(({ differs, ...row }) => row);
      return { differs: Math.max(0, ...rows.map(({ differs }) => differs)), countries };
    },

    /** Needs memory for every user. Ask only when an estimate says that there are not too many. */
    async exactUsers(by: 'ad' | 'country' | 'all', selection: RawSelection): Promise<ExactUsers[]> {
      const name = keys[by];
      return await readRows(
        clickhouse,
        ExactUsers,
        statement`${clicksOf(selection, { country: by === 'country', user: true })}
         SELECT ${name} AS name, uniqExactIf(of_user, of_user != '') AS users, count() AS count
         FROM clicks WHERE hit GROUP BY name ${settings(Math.max(mostCountries, selection.adIds.length))}`,
      );
    },
  };
}

/** The keys that clicks are grouped by. */
const keys = { all: sql`''`, ad: sql`ad`, country: sql`of_country` };

/** The limit for one read. A client whose read needs more is advised to ask for less. */
const maxMemoryBytes = 2 ** 30;

/** What is read of a click besides its ad and minute. Each of these takes memory. */
interface Needed {
  readonly country: boolean;
  readonly user: boolean;
}

/** Defines `clicks`: each click once, with its minute (m), its ad, and `hit`, which says whether the filter matches. */
function clicksOf({ adIds, name, filter, ...range }: RawSelection, { country, user }: Needed): Sql {
  return sql`
    WITH clicks AS (
      SELECT toStartOfMinute(clicked_at) AS m, ad_id AS ad, count() AS copies,
        argMin(toUInt8(${conditionOf(filter)}), ${received}) AS hit
        ${country ? sql`, argMin(${countryName(sql`click_raw.country`)}, ${received}) AS of_country` : noSql}
        ${user ? sql`, argMin(click_raw.user_id, ${received}) AS of_user` : noSql}
      FROM ${sharded('click_raw')} FINAL WHERE ${clickedWithin(range)} ${among({ adIds, name })}
      GROUP BY toStartOfMinute(clicked_at), ad_id, sipHash128(event_id)
    )`;
}

/** A number that orders copies by the time of receipt. Copies of the same millisecond have an arbitrary, stable order. */
export const received = sql`toUInt64(toUnixTimestamp64Milli(received_at)) * 1048576 + sipHash64(click_id) % 1048576`;

/** Defines `groups`: clicks by a key made of m, ad and of_country, also keys where the filter matches no click. */
function groupsBy(key: Sql, selection: RawSelection): Sql {
  const { adIds, name, uniques } = selection;
  const needed = { country: key === keys.country, user: uniques };
  const users = (user: Sql, isOne: Sql) => (uniques ? sql`, uniqCombined64StateIf(${user}, ${isOne}) AS u` : noSql);
  return sql`${clicksOf(selection, needed)},
    both AS (
      SELECT ${key} AS key, countIf(hit) AS n, sumIf(toUInt64(copies - 1), hit) AS d, sum(sipHash64(m, ad)) AS raw_sum,
        toUInt64(0) AS stated_sum ${users(sql`of_user`, sql`hit AND of_user != ''`)}
      FROM clicks GROUP BY key
      UNION ALL
      SELECT ${key} AS key, toUInt64(0) AS n, toUInt64(0) AS d, toUInt64(0) AS raw_sum,
        sum(sipHash64(m, ad) * stated) AS stated_sum ${users(sql`''`, sql`0`)}
      FROM (
        SELECT minute AS m, ad_id AS ad, ${countryName(sql`country`)} AS of_country, clicks AS stated
        FROM ${statedRows(
          adIds.length === 0 ? 'ad_minute' : 'ad_minute_by_ad',
          sql`${minuteWithin(selection)} ${among({ adIds, name })}`,
          selection,
        )}
      ) GROUP BY key
    ),
    groups AS (
      SELECT key, sum(n) AS count, sum(d) AS duplicates, ${uniques ? sql`uniqCombined64Merge(u)` : sql`0`} AS users,
        sum(raw_sum) != sum(stated_sum) AS differs
      FROM both GROUP BY key
    )`;
}

function among({ adIds, name }: Pick<RawSelection, 'adIds' | 'name'>): Sql {
  const listed = adIds.length === 0 ? noSql : sql`AND ad_id IN ${adIds}`;
  if (name === undefined) return listed;
  const { prefix, text } = name;
  return sql`${listed} AND startsWith(ad_id, ${prefix}) AND positionCaseInsensitive(ad_id, ${text}) > 0`;
}

/** SQL of the number by which groups are ordered. */
function orderOf({ clicks }: RawSelection): Sql {
  return clicks === 'gross' ? sql`(count + duplicates)` : sql`count`;
}

function beyond(after: AdCursor | undefined, ordered: Sql): Sql {
  if (after === undefined) return noSql;
  const { count, adId } = after;
  return sql`AND (${ordered} < ${count} OR (${ordered} = ${count} AND key > ${adId}))`;
}
