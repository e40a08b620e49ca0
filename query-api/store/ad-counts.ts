/**
 * SQL of counts by minute and of progress.
 *
 * Every read uses FINAL. A key has one row for each time it was inserted, and only the row with the highest version
 * counts. Conditions may name only columns of the sorting key, which are the same in all copies. A condition on any
 * other column could drop the current version and let an older one through.
 */

import { Type } from 'typebox';
import type { Progress } from '../../aggregator/ad-minute.ts';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../infra/clickhouse/sharded-tables.ts';
import { noSql, type Sql, sql, statement } from '../../infra/clickhouse/sql.ts';
import { formerCodes } from '../../ingest/country.ts';
import type { TimeRange } from '../time/time-range.ts';
import type { CountryLists } from './filters/click-filter.ts';
import type { ClickKind } from './net-and-gross.ts';
import { type Reader, type RowOf, readRow, readRows, rowShape } from './sql/read-rows.ts';
import { settingsOf } from './sql/read-settings.ts';
import { type Stated, statedRows } from './sql/stated-rows.ts';
import { minuteWithin } from './sql/within.ts';

export const Counts = rowShape('counts', {
  /** Distinct clicks, the invalid ones too. */
  count: Type.Integer(),
  duplicates: Type.Integer(),
  late: Type.Integer(),
  invalid: Type.Integer(),
  /** Why clicks are invalid, and by which versions of the rules the clicks were judged. Only where reasons are asked for. */
  invalid_by: Type.Optional(Type.Record(Type.String(), Type.Integer())),
  rules_lowest: Type.Optional(Type.Integer()),
  rules_highest: Type.Optional(Type.Integer()),
});
export type Counts = RowOf<typeof Counts>;

/** An ad and its clicks in a range. `count` are distinct clicks, the invalid ones too. */
export const AdCount = rowShape('counts of ads', {
  ad_id: Type.String(),
  count: Type.Integer(),
  duplicates: Type.Integer(),
  invalid: Type.Integer(),
});
export type AdCount = RowOf<typeof AdCount>;

const ProgressRow = rowShape('partition_progress', {
  partition: Type.Integer(),
  partitions: Type.Integer(),
  position: Type.Integer(),
  received: Type.Integer(),
  counted: Type.Integer(),
  duplicates: Type.Integer(),
  quarantined: Type.Integer(),
  acknowledged: Type.Integer(),
  missing: Type.Integer(),
  invalid: Type.Integer(),
  ids_per_ad_from: Type.Union([Type.Integer(), Type.Null()]),
  watermark: Type.Integer(),
  final_until: Type.Integer(),
  appended_at: Type.Integer(),
});

const WrittenOff = rowShape('conservation_seal', { partition: Type.Integer(), missing: Type.Integer() });

const ReasonCount = rowShape('quarantine by reason', { reason: Type.String(), lines: Type.Integer() });
export type ReasonCount = RowOf<typeof ReasonCount>;

export interface Selection extends TimeRange {
  /** A single country, or lists of countries to include and to leave out. Undefined for all countries. */
  readonly country: string | CountryLists | undefined;
}

/** A selection of counts as they are stated now. */
export interface StatedSelection extends Selection, Stated {
  /** By which clicks ads are ordered, and which ads have any. The default is `net`. */
  readonly clicks?: ClickKind;
  /** Whether the reasons of invalid clicks are read, which costs a column of maps. The default is false. */
  readonly reasons?: boolean;
}

/** The last ad of a page. The next ads have fewer clicks, or as many clicks and a later id. */
export interface AdCursor {
  /** Its clicks of the kind that gives the order. */
  readonly count: number;
  readonly adId: string;
}

export type Queries = ReturnType<typeof createQueries>;

export function createQueries(clickhouse: ClickHouse, { timeoutMs }: { readonly timeoutMs: number }) {
  const settings = (maxResultRows: number) => settingsOf(maxResultRows, timeoutMs);
  return {
    /** Returns the ads in the order of clicks, then of ad_id, so that equal counts always come in the same order. */
    async popularAds(limit: number, selection: StatedSelection, after?: AdCursor): Promise<AdCount[]> {
      return await readRows(
        clickhouse,
        AdCount,
        statement`${rankedAds(statedRows('ad_minute', within(selection), selection), limit, selection, { after })}
         ${settings(limit)}`,
      );
    },

    async progress(): Promise<Progress[]> {
      return await readRows(
        clickhouse,
        ProgressRow,
        statement`SELECT partition, partitions, position, received, counted, duplicates, quarantined,
           acknowledged, missing, invalid, ids_per_ad_from,
           toUnixTimestamp64Milli(watermark) AS watermark,
           toUnixTimestamp64Milli(final_until) AS final_until,
           toUnixTimestamp64Milli(appended_at) AS appended_at
         FROM ${sharded('partition_progress')} FINAL ORDER BY partition ${settings(65_536)}`,
      );
    },

    /** Returns by partition how many missing lines a person has written off. */
    async writtenOff(): Promise<Map<number, number>> {
      const rows = await readRows(
        clickhouse,
        WrittenOff,
        statement`SELECT partition, sum(missing) AS missing FROM conservation_seal FINAL WHERE source = 'accepted'
         GROUP BY partition ${settings(65_536)}`,
      );
      return new Map(rows.map(row => [row.partition, row.missing]));
    },

    /** Counts the lines in quarantine that are still kept. */
    async quarantineByReason(): Promise<ReasonCount[]> {
      return await readRows(
        clickhouse,
        ReasonCount,
        statement`SELECT reason, count() AS lines FROM ${sharded('quarantine')} FINAL GROUP BY reason ORDER BY reason ${settings(1_000)}`,
      );
    },
  };
}

export const noClicks: Counts = { count: 0, duplicates: 0, late: 0, invalid: 0 };

/** SQL of the columns of `Counts`, over rows that are called `counted`. */
export function sumsOf({ reasons = false }: Pick<StatedSelection, 'reasons'>): Sql {
  const sums = sql`sum(counted.clicks) AS count, sum(counted.duplicates) AS duplicates, sum(counted.late) AS late,
    sum(counted.invalid) AS invalid`;
  if (!reasons) return sums;
  return sql`${sums}, sumMap(counted.invalid_by) AS invalid_by, min(counted.rules_low) AS rules_lowest,
    max(counted.rules_high) AS rules_highest`;
}

/**
 * SQL that reads the ads of `rows` with the most clicks of a kind, in the order of these clicks, then of ad_id. `listed`
 * is the kind of which an ad must have any: the same one for a top list, `gross` for a search.
 */
export function rankedAds(
  rows: Sql,
  limit: number,
  { clicks = 'net' }: Pick<StatedSelection, 'clicks'>,
  { after, where = sql`1`, listed = clicks }: RankedOptions = {},
): Sql {
  const kind = kindOf[clicks];
  return sql`SELECT ad_id, ${adSums} FROM ${rows} AS counted WHERE ${where}
    GROUP BY ad_id HAVING ${kindOf[listed]} > 0 ${after === undefined ? noSql : sql`AND ${beyond(after, kind)}`}
    ORDER BY ${kind} DESC, ad_id LIMIT ${limit}`;
}

interface RankedOptions {
  readonly after?: AdCursor | undefined;
  readonly where?: Sql;
  readonly listed?: ClickKind;
}

/** SQL of the sums of `AdCount`, over rows that are called `counted`. */
export const adSums = sql`sum(counted.clicks) AS count, sum(counted.duplicates) AS duplicates,
  sum(counted.invalid) AS invalid`;

/** SQL of the clicks of a kind (`clicksOf`), over rows that are called `counted`. */
export const kindOf: Readonly<Record<ClickKind, Sql>> = {
  net: sql`(sum(counted.clicks) - sum(counted.invalid))`,
  gross: sql`(sum(counted.clicks) + sum(counted.duplicates))`,
};

export function within({ country, ...asked }: Selection): Sql {
  const range = minuteWithin(asked);
  if (country === undefined) return range;
  if (typeof country === 'string') return sql`${range} AND country = ${country}`;
  const listed = country.in ? sql`AND country IN ${country.in}` : noSql;
  return sql`${range} ${listed} AND country NOT IN ${country.out}`;
}

/** SQL for the code of a country as it is written now. Rows of earlier releases may have another code. */
export function countryName(code: Sql): Sql {
  return sql`transform(toString(${code}), ${[...formerCodes.keys()]}, ${[...formerCodes.values()]}, toString(${code}))`;
}

/** SQL for HAVING. */
function beyond({ count, adId }: AdCursor, kind: Sql): Sql {
  return sql`(${kind} < ${count} OR (${kind} = ${count} AND ad_id > ${adId}))`;
}

const PartitionRow = rowShape('partition_progress', { partition: Type.Integer() });

/** Returns a partition that the node has although it belongs to another shard, or undefined if there is none. */
export async function partitionBeside(clickhouse: Reader, shard: number, shards: number): Promise<number | undefined> {
  const row = await readRow(
    clickhouse,
    PartitionRow,
    statement`SELECT partition FROM ${sharded('partition_progress')} WHERE partition % ${shards} != ${shard}
      LIMIT 1 ${settingsOf(1, 1_500)}`,
  );
  return row?.partition;
}
