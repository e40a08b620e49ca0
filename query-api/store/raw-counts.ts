/**
 * SQL that counts clicks from `click_raw`, for what `ad_minute` does not know: users, addresses.
 *
 * A click is an event id of its ad and minute, and what is said of it is what its first copy says, so that each click
 * is in exactly one country and of at most one user, whatever its copies say.
 *
 * Every reading tells whether raw has the same clicks as the counts of those ads and minutes, before any filter. Raw
 * may be behind (it is inserted apart) or ahead (a click that came too late is in raw at once, and is counted when its
 * minute is restated). In each partition raw is a prefix of the log: where an ad has one partition, and raw as many of
 * its clicks in a minute as are counted, it has the same ones. Of an ad that is split the number alone proves nothing, and
 * raw does not tell partitions: whoever reads has to know how far raw is (`readings.ts`). All of these numbers are compared at once, by
 * a sum in which each counts with a 64 bit hash of its own (sums and products go round): others add up to the same by a
 * chance of 2^-64.
 */

import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../infra/clickhouse/sharded-tables.ts';
import { noSql, type Sql, sql, statement } from '../../infra/clickhouse/sql.ts';
import { type Step, stepsIn } from '../time/steps.ts';
import { type AdCursor, countryName } from './ad-counts.ts';
import type { ClickFilter } from './filters/click-filter.ts';
import { conditionOf } from './filters/filter-sql.ts';
import type { AdIds, AdName, AdRank } from './group-counts.ts';
import { clickedWithin, minuteWithin } from './jobs/recount-rows.ts';
import { settingsOf } from './sql/read-settings.ts';
import { type StatedRange, statedRows } from './sql/stated-rows.ts';
import { startOf } from './sql/step-start.ts';

export interface RawSelection extends StatedRange {
  readonly adIds: AdIds;
  /** Only ads of such a name; undefined: whatever it is. */
  readonly name?: AdName | undefined;
  readonly filter: ClickFilter;
  /** Whether users are estimated, too; otherwise there are none. */
  readonly uniques: boolean;
}

export interface RawCounts {
  readonly count: number;
  readonly duplicates: number;
  /** Distinct users, estimated. */
  readonly users: number;
}

/** `differs`: 1 where raw has other numbers of clicks than are counted. */
export interface Compared {
  readonly differs: number;
}

export interface ExactUsers {
  /** The ad or the country. */
  readonly name: string;
  readonly users: number;
  /** Clicks they are the users of, and those without. */
  readonly count: number;
}

export type RawQueries = ReturnType<typeof createRawQueries>;

export function createRawQueries(clickhouse: ClickHouse, { timeoutMs }: { readonly timeoutMs: number }) {
  const settings = (rows: number) => settingsOf(rows, timeoutMs, { max_memory_usage: maxMemoryBytes });
  return {
    async totals(selection: RawSelection): Promise<RawCounts & Compared> {
      const [row] = await clickhouse.query<RawCounts & Compared>(
        ...statement`${groupsBy(keys.all, selection)} SELECT count, duplicates, users, differs FROM groups ${settings(1)}`,
      );
      return row ?? { count: 0, duplicates: 0, users: 0, differs: 0 };
    },

    /** Each step is compared for itself; steps of which neither raw nor counts have anything are left out. */
    async series(
      selection: RawSelection,
      step: Step,
    ): Promise<(RawCounts & Compared & { readonly ad_id: string; readonly start: number })[]> {
      const names = Math.max(1, selection.adIds.length);
      const key = sql`(${selection.adIds.length === 0 ? sql`''` : sql`ad`}, ${startOf(sql`m`, step)})`;
      return await clickhouse.query(
        ...statement`${groupsBy(key, selection)}
         SELECT key.1 AS ad_id, key.2 AS start, count, duplicates, users, differs FROM groups
         ORDER BY ad_id, start ${settings(names * stepsIn(selection, step))}`,
      );
    },

    /** By clicks, then by ad_id. */
    async popularAds(
      limit: number,
      selection: RawSelection,
      after?: AdCursor,
    ): Promise<Compared & { readonly ads: (RawCounts & { readonly ad_id: string })[] }> {
      const [row] = await clickhouse.query<Compared & { readonly top: [number, string, number, number][] }>(
        ...statement`${groupsBy(keys.ad, selection)}
         SELECT groupArraySortedIf(${limit})(
             (-toInt64(count), key, duplicates, users), count > 0 ${beyond(after)}
           ) AS top, max(groups.differs) AS differs
         FROM groups ${settings(1)}`,
      );
      const { top, differs } = row ?? { top: [], differs: 0 };
      return { differs, ads: top.map(([n, ad_id, duplicates, users]) => ({ ad_id, count: -n, duplicates, users })) };
    },

    /** Places of some ads in the top list of the selection; those without clicks have none. */
    async ranks(adIds: AdIds, selection: RawSelection): Promise<Compared & { readonly ranks: readonly AdRank[] }> {
      const [row] = await clickhouse.query<Compared & { readonly found: [string, number, number][] }>(
        ...statement`${groupsBy(keys.ad, selection)},
         ranked AS (SELECT key, count, differs, row_number() OVER (ORDER BY count DESC, key) AS rank FROM groups)
         SELECT groupArrayIf((key, count, rank), count > 0 AND key IN ${adIds}) AS found,
           max(ranked.differs) AS differs
         FROM ranked ${settings(1)}`,
      );
      const { found, differs } = row ?? { found: [], differs: 0 };
      return { differs, ranks: found.map(([ad_id, count, rank]) => ({ ad_id, count, rank })) };
    },

    /** By clicks, then by name. */
    async countries(
      selection: RawSelection,
    ): Promise<Compared & { readonly countries: (RawCounts & { readonly country: string })[] }> {
      const rows = await clickhouse.query<RawCounts & Compared & { readonly country: string }>(
        ...statement`${groupsBy(keys.country, selection)}
         SELECT key AS country, count, duplicates, users, differs FROM groups
         ORDER BY count DESC, country ${settings(maxCountries)}`,
      );
      const countries = rows.filter(({ count }) => count > 0).map(({ differs, ...row }) => row);
      return { differs: Math.max(0, ...rows.map(({ differs }) => differs)), countries };
    },

    /** Memory grows with the users: ask where an estimate says that they are not too many. */
    async exactUsers(by: 'ad' | 'country' | 'all', selection: RawSelection): Promise<ExactUsers[]> {
      const name = keys[by];
      return await clickhouse.query(
        ...statement`${clicksOf(selection, { country: by === 'country', user: true })}
         SELECT ${name} AS name, uniqExactIf(of_user, of_user != '') AS users, count() AS count
         FROM clicks WHERE hit GROUP BY name ${settings(Math.max(maxCountries, selection.adIds.length))}`,
      );
    },
  };
}

/** What clicks are grouped by. */
const keys = { all: sql`''`, ad: sql`ad`, country: sql`of_country` };

/** Bytes of one read; where one needs more, the answer says to ask for less. */
const maxMemoryBytes = 2 ** 30;
/** Two letters. */
const maxCountries = 26 * 26;

/** What is needed of a click beside its ad and minute: each takes memory. */
interface Needed {
  readonly country: boolean;
  readonly user: boolean;
}

/** `clicks`: each click once, by minute (m) and ad, with `hit`, whether the filter takes it. */
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

/** One number that orders copies by their receipt, those of the same ms in any order that stays. */
const received = sql`toUInt64(toUnixTimestamp64Milli(received_at)) * 1048576 + sipHash64(click_id) % 1048576`;

/** `groups`: clicks by a key made of m, ad and of_country, also where the filter takes none of them. */
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

function beyond(after: AdCursor | undefined): Sql {
  if (after === undefined) return noSql;
  const { count, adId } = after;
  return sql`AND (count < ${count} OR (count = ${count} AND key > ${adId}))`;
}
