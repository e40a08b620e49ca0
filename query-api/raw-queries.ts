/**
 * SQL that counts clicks from `click_raw`, for what `ad_minute` cannot tell: users, addresses. No bound parameters, as
 * these reads may be long (`jobs/recount-queries.ts`).
 *
 * A click is an event id of its ad and minute, and what is said of it is what its first copy says, so that each click
 * is in exactly one country and of at most one user, whatever its copies say.
 *
 * Every reading tells how it stands to the counts of the same ads and minutes, before any filter: raw may be behind
 * (it is inserted apart) or ahead (a click that came too late is in raw at once, and is counted when its minute is
 * restated). In each partition raw is a prefix of the log, and an ad has one partition. So a count (minute, ad,
 * country) for which raw has as many clicks has the same clicks, and one for which it has at least as many lacks none.
 */
import type { ClickHouse } from '../infra/clickhouse.ts';
import type { ClickFilter } from './filters/click-filter.ts';
import { conditionOf } from './filters/filter-sql.ts';
import type { Standing } from './finality.ts';
import type { AdIds, AdRank } from './group-queries.ts';
import { clickedWithin, minuteWithin } from './jobs/recount-queries.ts';
import type { AdCursor, TimeRange } from './queries.ts';
import { integer, literal, settingsOf } from './read-settings.ts';
import { type Step, startOf, stepsIn } from './step.ts';

export interface RawSelection extends TimeRange {
  readonly adIds: AdIds;
  readonly filter: ClickFilter;
}

export interface RawCounts {
  readonly count: number;
  readonly duplicates: number;
  /** Distinct users, estimated. */
  readonly users: number;
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
  const settings = (rows: number) => `${settingsOf(rows, timeoutMs)}, max_memory_usage=${maxMemoryBytes}`;
  return {
    async totals(selection: RawSelection): Promise<RawCounts & Standing> {
      const [row] = await clickhouse.query<RawCounts & Standing>(
        `${cellsOf(selection)} SELECT ${sums}, ${standing} FROM cells ${settings(1)}`,
      );
      return row ?? { count: 0, duplicates: 0, users: 0, behind: 0, differing: 0 };
    },

    /** Each step stands on its own; steps of which neither raw nor counts have anything are left out. */
    async series(
      selection: RawSelection,
      step: Step,
    ): Promise<(RawCounts & Standing & { readonly ad_id: string; readonly start: number })[]> {
      const names = Math.max(1, selection.adIds.length);
      return await clickhouse.query(
        `${cellsOf(selection)}
         SELECT ${selection.adIds.length === 0 ? `''` : 'ad'} AS ad_id, ${startOf('m', step)} AS start, ${sums}, ${standing}
         FROM cells GROUP BY ad_id, start ORDER BY ad_id, start ${settings(names * stepsIn(selection, step))}`,
      );
    },

    /** By clicks, then by ad_id. */
    async popularAds(
      limit: number,
      selection: RawSelection,
      after?: AdCursor,
    ): Promise<Standing & { readonly ads: (RawCounts & { readonly ad_id: string })[] }> {
      const [row] = await clickhouse.query<Standing & { readonly top: [number, string, number, number][] }>(
        `${cellsOf(selection)},
         ads AS (SELECT ad, ${sums}, ${standing} FROM cells GROUP BY ad)
         SELECT groupArraySortedIf(${integer(limit)})((-toInt64(count), ad, duplicates, users), count > 0 ${beyond(after)})
           AS top, sum(ads.behind) AS behind, sum(ads.differing) AS differing
         FROM ads ${settings(1)}`,
      );
      const { top, ...stands } = row ?? { top: [], behind: 0, differing: 0 };
      return { ...stands, ads: top.map(([n, ad_id, duplicates, users]) => ({ ad_id, count: -n, duplicates, users })) };
    },

    /** Places of some ads in the top list of the selection; those without clicks have none. */
    async ranks(adIds: AdIds, selection: RawSelection): Promise<Standing & { readonly ranks: readonly AdRank[] }> {
      const [row] = await clickhouse.query<Standing & { readonly found: [string, number, number][] }>(
        `${cellsOf(selection)},
         ads AS (SELECT ad, ${sums}, ${standing}, row_number() OVER (ORDER BY sum(n) DESC, ad) AS rank FROM cells GROUP BY ad)
         SELECT groupArrayIf((ad, count, rank), count > 0 AND ad IN (${adIds.map(literal)})) AS found,
           sum(ads.behind) AS behind, sum(ads.differing) AS differing
         FROM ads ${settings(1)}`,
      );
      const { found, ...stands } = row ?? { found: [], behind: 0, differing: 0 };
      return { ...stands, ranks: found.map(([ad_id, count, rank]) => ({ ad_id, count, rank })) };
    },

    /** By clicks, then by name. */
    async countries(
      selection: RawSelection,
    ): Promise<Standing & { readonly countries: (RawCounts & { readonly country: string })[] }> {
      const rows = await clickhouse.query<RawCounts & Standing & { readonly country: string }>(
        `${cellsOf(selection)}
         SELECT country, ${sums}, ${standing} FROM cells GROUP BY country ORDER BY count DESC, country
         ${settings(maxCountries)}`,
      );
      const sum = (field: keyof Standing) => rows.reduce((total, row) => total + row[field], 0);
      const countries = rows.filter(row => row.count > 0).map(({ behind, differing, ...row }) => row);
      return { behind: sum('behind'), differing: sum('differing'), countries };
    },

    /** Memory grows with the users: ask where an estimate says that they are not too many. */
    async exactUsers(by: 'ad' | 'country' | 'all', selection: RawSelection): Promise<ExactUsers[]> {
      const name = by === 'all' ? `''` : by;
      return await clickhouse.query(
        `${hitsOf(selection)}
         SELECT ${name} AS name, uniqExactIf(user_id, user_id != '') AS users, count() AS count
         FROM hits WHERE hit GROUP BY name ${settings(Math.max(maxCountries, selection.adIds.length))}`,
      );
    },
  };
}

/** Bytes of one read; with so many clicks that they need more, nobody would wait for the answer. */
const maxMemoryBytes = 2 ** 30;
/** Two letters. */
const maxCountries = 26 * 26;

const sums = 'sum(n) AS count, sum(d) AS duplicates, uniqCombined64Merge(u) AS users';
const standing = 'countIf(r < s) AS behind, countIf(r != s) AS differing';

/** `clicks`: each click once. `hits`: with `hit`, whether the filter takes it. */
function hitsOf({ adIds, filter, ...range }: RawSelection): string {
  return `
    WITH clicks AS (
      SELECT toStartOfMinute(clicked_at) AS m, ad_id AS ad, count() AS copies,
        argMin((toString(country), user_id, ip), (received_at, click_id)) AS first
      FROM click_raw FINAL WHERE ${clickedWithin(range)} ${among(adIds)} GROUP BY m, ad, event_id
    ),
    hits AS (
      SELECT m, ad, country, user_id, copies, toBool(${conditionOf(filter)}) AS hit
      FROM (SELECT m, ad, copies, first.1 AS country, first.2 AS user_id, first.3 AS ip FROM clicks)
    )`;
}

/** `cells`: clicks that the filter takes (n), copies of those (d), their users (u); all clicks in raw (r) and as counted (s). */
function cellsOf(selection: RawSelection): string {
  return `${hitsOf(selection)},
    both AS (
      SELECT m, ad, country, countIf(hit) AS hit_n, sumIf(toUInt64(copies - 1), hit) AS hit_d, count() AS raw_n, toUInt64(0) AS stated_n,
        uniqCombined64StateIf(user_id, hit AND user_id != '') AS hit_u
      FROM hits GROUP BY m, ad, country
      UNION ALL
      SELECT minute AS m, ad_id AS ad, toString(country) AS country, toUInt64(0), toUInt64(0), toUInt64(0), sum(clicks),
        uniqCombined64StateIf('', 0)
      FROM ${selection.adIds.length === 0 ? 'ad_minute' : 'ad_minute_by_ad'} FINAL
      WHERE ${minuteWithin(selection)} ${among(selection.adIds)} GROUP BY m, ad, country
    ),
    cells AS (
      SELECT m, ad, country, sum(hit_n) AS n, sum(hit_d) AS d, sum(raw_n) AS r, sum(stated_n) AS s,
        uniqCombined64MergeState(hit_u) AS u
      FROM both GROUP BY m, ad, country
    )`;
}

function among(adIds: AdIds): string {
  return adIds.length === 0 ? '' : `AND ad_id IN (${adIds.map(literal)})`;
}

function beyond(after: AdCursor | undefined): string {
  if (after === undefined) return '';
  const count = integer(after.count);
  return `AND (count < ${count} OR (count = ${count} AND ad > ${literal(after.adId)}))`;
}
