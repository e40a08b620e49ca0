/**
 * Recounts minutes in SQL, without the streaming code. It compares the distinct event ids of raw clicks, per ad and
 * minute, with the counts that are answered. These are in several tables: top lists read `ad_minute`, the counts of one
 * ad read `ad_minute_by_ad`. So both are compared: a fault in one does not show in the other. (Long ranges read `ad_hour`:
 * sql-hours.ts.) A click whose copies name several countries is a conflict: it counts once, in one of these countries, and
 * is reported separately.
 *
 * Before ids were per ad (id-rule.ts), an id under several ads in one minute is a conflict too. The stream has counted
 * it for one of these ads, and SQL cannot find out for which. So a difference that such ids can explain is not drift.
 */

import { Type } from 'typebox';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../../infra/clickhouse/sharded-tables.ts';
import { type Sql, sql, statement } from '../../../infra/clickhouse/sql.ts';
import { minuteMs, type TimeRange } from '../../time/time-range.ts';
import { type RowOf, readNumber, readRow, readRows, rowShape } from '../sql/read-rows.ts';
import { settingsOf } from '../sql/read-settings.ts';
import { clickedWithin, minuteWithin } from '../sql/within.ts';

/** Sums over the cells of an ad that differ. `counted` is of the table that differs. */
export const AdDrift = rowShape('drift of ads', {
  ad_id: Type.String(),
  cells: Type.Integer(),
  counted: Type.Integer(),
  raw: Type.Integer(),
});
export type AdDrift = RowOf<typeof AdDrift>;

const Totals = rowShape('totals of a reconciliation', {
  /** The number of compared pairs of minute and ad. */
  cells: Type.Integer(),
  differing: Type.Integer(),
  /** The sum of the differences of cells, each without its sign. So a click that is counted for another ad shows. */
  off: Type.Integer(),
  /**
   * Clicks whose copies name several countries. Before ids were per ad, also clicks under several ads in one minute.
   */
  conflicts: Type.Integer(),
});

/** Epoch ms. */
const DifferingMinute = rowShape('minutes with drift', { at: Type.Integer() });

export interface Reconciled extends RowOf<typeof Totals> {
  /** The ads with the largest drift. */
  readonly ads: readonly AdDrift[];
  /** Minutes with cells that differ, in epoch ms. */
  readonly minutes: readonly number[];
}

export type Reconciliation = ReturnType<typeof createReconciliation>;

/** `idsPerAdFrom` returns the first minute in which ids are per ad, in epoch ms. */
export function createReconciliation(clickhouse: ClickHouse, idsPerAdFrom: () => Promise<number>) {
  const rawRows = (range: TimeRange) =>
    readNumber(
      clickhouse,
      'rows of click_raw',
      statement`SELECT count() AS n FROM ${sharded('click_raw')} WHERE ${clickedWithin(range)} ${settingsOf(1, timeoutMs)}`,
    );
  return {
    /** Returns the end of the first part of the range that can be compared at once. */
    async stepEnd({ from, to }: TimeRange): Promise<number> {
      let minutes = Math.min(60, (to - from) / minuteMs);
      while (minutes > 1 && (await rawRows({ from, to: from + minutes * minuteMs })) > stepRows) {
        minutes = Math.floor(minutes / 2);
      }
      return from + minutes * minuteMs;
    },

    async compare(range: TimeRange): Promise<Reconciled> {
      const cells = cellsOf(range, await idsPerAdFrom());
      const totals = await readRow(
        clickhouse,
        Totals,
        statement`WITH ${cells}
         SELECT count() AS cells, countIf(${differs}) AS differing, sumIf(${off}, ${differs}) AS off,
           sum(torn) + (SELECT count() FROM shared_ids) AS conflicts
         FROM cells ${settingsOf(1, timeoutMs)}`,
      );
      const found = totals ?? { cells: 0, differing: 0, off: 0, conflicts: 0 };
      if (found.differing === 0) return { ...found, ads: [], minutes: [] };
      const ads = await readRows(
        clickhouse,
        AdDrift,
        statement`WITH ${cells}
         SELECT ad_id, cells, counted, raw FROM (
           SELECT ad AS ad_id, count() AS cells, sum(${counted}) AS counted, sum(raw_clicks) AS raw, sum(${off}) AS size
           FROM cells WHERE ${differs} GROUP BY ad ORDER BY size DESC, ad LIMIT ${adsReported}
         ) ${settingsOf(adsReported, timeoutMs)}`,
      );
      const minutes = await readRows(
        clickhouse,
        DifferingMinute,
        statement`WITH ${cells}
         SELECT DISTINCT toUnixTimestamp(m) * 1000 AS at FROM cells WHERE ${differs} ORDER BY at
         ${settingsOf(60, timeoutMs)}`,
      );
      return { ...found, ads, minutes: minutes.map(({ at }) => at) };
    },
  };
}

const noneOfThree = sql`(toInt64(0), toInt64(0), toInt64(0))`;
/** The number of ads that are named. All ads are counted. */
export const adsReported = 100;
/** Raw clicks of one comparison. Their ids are in memory, and other jobs wait until it is done. */
const stepRows = 500_000;
const timeoutMs = 120_000;

const isRaw = sql`(raw_clicks >= counted_clicks AND raw_clicks <= counted_clicks + shared)`;
const differs = sql`(NOT ${isRaw} OR of_table != of_ads)`;
/** What the table says that differs. */
const counted = sql`if(${isRaw}, of_ads.1, counted_clicks)`;
/** By how much a cell differs. */
const off = sql`(if(${isRaw}, 0, abs(toInt64(raw_clicks) - toInt64(counted_clicks)))
  + abs(of_table.1 - of_ads.1) + abs(of_table.2 - of_ads.2) + abs(of_table.3 - of_ads.3))`;

/** Raw is read without FINAL, because copies of a row do not change the number of distinct ids. */
function cellsOf(range: TimeRange, idsPerAdFrom: number): Sql {
  const older = { from: range.from, to: Math.max(range.from, Math.min(range.to, idsPerAdFrom)) };
  return sql`
    shared_ids AS (
      SELECT toStartOfMinute(clicked_at) AS at, event_id AS id FROM ${sharded('click_raw')}
      WHERE ${clickedWithin(older)} GROUP BY at, id HAVING uniqExact(ad_id) > 1
    ),
    recounted AS (
      SELECT at AS rm, ad AS rad, count() AS raw_n, countIf((at, id) IN (SELECT at, id FROM shared_ids)) AS shared_n,
        countIf(is_torn) AS torn_n
      FROM (
        SELECT toStartOfMinute(clicked_at) AS at, ad_id AS ad, event_id AS id, min(country) != max(country) AS is_torn
        FROM ${sharded('click_raw')} WHERE ${clickedWithin(range)} GROUP BY at, ad, id
      ) GROUP BY rm, rad
    ),
    cells AS (
      SELECT m, ad, sum(raw_n) AS raw_clicks, of_table.1 AS counted_clicks, sum(shared_n) AS shared, sum(torn_n) AS torn,
        (sum(t.1), sum(t.2), sum(t.3)) AS of_table, (sum(a.1), sum(a.2), sum(a.3)) AS of_ads
      FROM (
        SELECT rm AS m, rad AS ad, raw_n, shared_n, torn_n, ${noneOfThree} AS t, ${noneOfThree} AS a FROM recounted
        UNION ALL
        SELECT minute AS m, ad_id AS ad, 0 AS raw_n, 0 AS shared_n, 0 AS torn_n,
          (toInt64(clicks), toInt64(duplicates), toInt64(invalid)) AS t, ${noneOfThree} AS a
        FROM ${sharded('ad_minute')} FINAL WHERE ${minuteWithin(range)}
        UNION ALL
        SELECT minute AS m, ad_id AS ad, 0 AS raw_n, 0 AS shared_n, 0 AS torn_n, ${noneOfThree} AS t,
          (toInt64(clicks), toInt64(duplicates), toInt64(invalid)) AS a
        FROM ${sharded('ad_minute_by_ad')} FINAL WHERE ${minuteWithin(range)}
      ) GROUP BY m, ad HAVING raw_clicks > 0 OR of_table.1 > 0 OR of_ads.1 > 0
    )`;
}
