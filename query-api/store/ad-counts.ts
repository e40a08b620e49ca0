/**
 * SQL of counts by minute and of progress.
 *
 * Every read says FINAL: a key has as many rows as it was inserted, and only the highest version counts. All copies of
 * a key lie in one partition of the table (its date is a function of the key, or stands fast with it), so partitions
 * need not be merged with each other. Filters name columns of the sorting key only, which all copies share: a filter
 * on anything else could drop the current version and let an older one through.
 */

import type { Progress } from '../../aggregator/ad-minute.ts';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../infra/clickhouse/sharded-tables.ts';
import { noSql, type Sql, sql, statement } from '../../infra/clickhouse/sql.ts';
import { formerCodes } from '../../ingest/country.ts';
import type { TimeRange } from '../time/time-range.ts';
import type { CountryLists } from './filters/click-filter.ts';
import { settingsOf } from './sql/read-settings.ts';
import { type Stated, statedRows } from './sql/stated-rows.ts';

export interface Counts {
  readonly count: number;
  readonly duplicates: number;
  readonly late: number;
}

export interface Selection extends TimeRange {
  /** One, or those in and out of a list; undefined: all. */
  readonly country: string | CountryLists | undefined;
}

/** Of counts as they are stated. */
export interface StatedSelection extends Selection, Stated {}

/** The last ad of a page: the next ones have fewer clicks, or as many and a later id. */
export interface AdCursor {
  readonly count: number;
  readonly adId: string;
}

export type Queries = ReturnType<typeof createQueries>;

export function createQueries(clickhouse: ClickHouse, { timeoutMs }: { readonly timeoutMs: number }) {
  const settings = (maxResultRows: number) => settingsOf(maxResultRows, timeoutMs);
  return {
    /** By clicks, then by ad_id: equal counts always come in the same order. */
    async popularAds(
      limit: number,
      selection: StatedSelection,
      after?: AdCursor,
    ): Promise<{ ad_id: string; count: number }[]> {
      return await clickhouse.query(
        ...statement`SELECT ad_id, sum(clicks) AS count FROM ${statedRows('ad_minute', within(selection), selection)}
         GROUP BY ad_id HAVING count > 0 ${after === undefined ? noSql : sql`AND ${beyond(after)}`}
         ORDER BY count DESC, ad_id LIMIT ${limit} ${settings(limit)}`,
      );
    },

    async progress(): Promise<Progress[]> {
      return await clickhouse.query(
        ...statement`SELECT partition, partitions, position, received, counted, duplicates, quarantined,
           acknowledged, missing, ids_per_ad_from,
           toUnixTimestamp64Milli(watermark) AS watermark,
           toUnixTimestamp64Milli(final_until) AS final_until,
           toUnixTimestamp64Milli(appended_at) AS appended_at
         FROM ${sharded('partition_progress')} FINAL ORDER BY partition ${settings(65_536)}`,
      );
    },

    /** Missing lines that a person has written off, by partition. */
    async writtenOff(): Promise<Map<number, number>> {
      const rows = await clickhouse.query<{ partition: number; missing: number }>(
        ...statement`SELECT partition, sum(missing) AS missing FROM conservation_seal FINAL WHERE source = 'accepted'
         GROUP BY partition ${settings(65_536)}`,
      );
      return new Map(rows.map(row => [row.partition, row.missing]));
    },

    /** Lines that were not counted and are still kept. */
    async quarantineByReason(): Promise<{ reason: string; lines: number }[]> {
      return await clickhouse.query(
        ...statement`SELECT reason, count() AS lines FROM ${sharded('quarantine')} FINAL GROUP BY reason ORDER BY reason ${settings(1_000)}`,
      );
    },
  };
}

export const noClicks: Counts = { count: 0, duplicates: 0, late: 0 };

export const sums = sql`sum(clicks) AS count, sum(duplicates) AS duplicates, sum(late) AS late`;

export function within({ from, to, country }: Selection): Sql {
  const range = sql`minute >= toDateTime(${from / 1_000}, 'UTC') AND minute < toDateTime(${to / 1_000}, 'UTC')`;
  if (country === undefined) return range;
  if (typeof country === 'string') return sql`${range} AND country = ${country}`;
  const listed = country.in ? sql`AND country IN ${country.in}` : noSql;
  return sql`${range} ${listed} AND country NOT IN ${country.out}`;
}

/** Codes of one country in rows of earlier releases, as the one that is written now. */
export function countryName(code: Sql): Sql {
  return sql`transform(toString(${code}), ${[...formerCodes.keys()]}, ${[...formerCodes.values()]}, toString(${code}))`;
}

/** For HAVING. */
export function beyond({ count, adId }: AdCursor): Sql {
  return sql`(count < ${count} OR (count = ${count} AND ad_id > ${adId}))`;
}

/** One that a node of this shard has, and should not have; undefined: there is none. */
export async function partitionBeside(
  clickhouse: Pick<ClickHouse, 'query'>,
  shard: number,
  shards: number,
): Promise<number | undefined> {
  const [row] = await clickhouse.query<{ partition: number }>(
    ...statement`SELECT partition FROM ${sharded('partition_progress')} WHERE partition % ${shards} != ${shard}
      LIMIT 1 ${settingsOf(1, 1_500)}`,
  );
  return row?.partition;
}
