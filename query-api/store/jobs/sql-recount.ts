/**
 * Recounts minutes in SQL, with none of the streaming code: distinct event ids of raw clicks per ad and minute, against
 * the counts that are answered. A click whose copies tell several countries is a conflict: it counts once, in one of
 * them, and is reported apart.
 *
 * In minutes from before ids were per ad (id-rule.ts), an id that stands under several ads is a conflict, too: the stream
 * has counted it for one of them, which SQL cannot tell, so a difference that such ids explain is no drift.
 */

import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../../infra/clickhouse/sharded-tables.ts';
import { type Sql, sql, statement } from '../../../infra/clickhouse/sql.ts';
import { minuteMs, type TimeRange } from '../../time/time-range.ts';
import { settingsOf } from '../sql/read-settings.ts';
import { clickedWithin, minuteWithin } from './recount-rows.ts';

export interface AdDrift {
  readonly ad_id: string;
  readonly cells: number;
  readonly counted: number;
  readonly raw: number;
}

export interface Reconciled {
  /** (minute, ad) pairs compared. */
  readonly cells: number;
  readonly differing: number;
  /** Clicks whose copies tell several countries; and, before ids were per ad, those under several ads in a minute. */
  readonly conflicts: number;
  /** Of the ads with the largest drift; the cells that differ only. */
  readonly ads: readonly AdDrift[];
  /** Minutes that hold cells that differ, epoch ms. */
  readonly minutes: readonly number[];
}

export type Reconciliation = ReturnType<typeof createReconciliation>;

/** `idsPerAdFrom`: the minute from which on ids are per ad, epoch ms. */
export function createReconciliation(clickhouse: ClickHouse, idsPerAdFrom: () => Promise<number>) {
  const rawRows = async (range: TimeRange) => {
    const [row] = await clickhouse.query<{ n: number }>(
      ...statement`SELECT count() AS n FROM ${sharded('click_raw')} WHERE ${clickedWithin(range)} ${settingsOf(1, timeoutMs)}`,
    );
    return row?.n ?? 0;
  };
  return {
    /** The end of a part of the range that can be compared at once. */
    async stepEnd({ from, to }: TimeRange): Promise<number> {
      let minutes = Math.min(60, (to - from) / minuteMs);
      while (minutes > 1 && (await rawRows({ from, to: from + minutes * minuteMs })) > stepRows) {
        minutes = Math.floor(minutes / 2);
      }
      return from + minutes * minuteMs;
    },

    async compare(range: TimeRange): Promise<Reconciled> {
      const cells = cellsOf(range, await idsPerAdFrom());
      const [totals] = await clickhouse.query<Pick<Reconciled, 'cells' | 'differing' | 'conflicts'>>(
        ...statement`WITH ${cells}
         SELECT count() AS cells, countIf(${differs}) AS differing,
           sum(torn) + (SELECT count() FROM shared_ids) AS conflicts
         FROM cells ${settingsOf(1, timeoutMs)}`,
      );
      const found = totals ?? { cells: 0, differing: 0, conflicts: 0 };
      if (found.differing === 0) return { ...found, ads: [], minutes: [] };
      const ads = await clickhouse.query<AdDrift>(
        ...statement`WITH ${cells}
         SELECT ad_id, cells, counted, raw FROM (
           SELECT ad AS ad_id, count() AS cells, sum(counted_clicks) AS counted, sum(raw_clicks) AS raw,
             abs(toInt64(raw) - toInt64(counted)) AS size
           FROM cells WHERE ${differs} GROUP BY ad ORDER BY size DESC, ad LIMIT ${adsReported}
         ) ${settingsOf(adsReported, timeoutMs)}`,
      );
      const minutes = await clickhouse.query<{ at: number }>(
        ...statement`WITH ${cells}
         SELECT DISTINCT toUnixTimestamp(m) * 1000 AS at FROM cells WHERE ${differs} ORDER BY at
         ${settingsOf(60, timeoutMs)}`,
      );
      return { ...found, ads, minutes: minutes.map(({ at }) => at) };
    },
  };
}

/** The ads that are named; all are counted. */
export const adsReported = 100;
/** Raw clicks of one comparison: their ids are in memory, and whoever waits for a turn waits until it is done. */
const stepRows = 500_000;
const timeoutMs = 120_000;

const differs = sql`raw_clicks < counted_clicks OR raw_clicks > counted_clicks + shared`;

/** Copies of a row do no harm to distinct ids, so raw is read without FINAL. */
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
    stated AS (
      SELECT minute AS sm, ad_id AS sad, sum(clicks) AS stated_n FROM ${sharded('ad_minute')} FINAL
      WHERE ${minuteWithin(range)} GROUP BY sm, sad
    ),
    cells AS (
      SELECT if(rad = '', sm, rm) AS m, if(rad = '', sad, rad) AS ad,
        raw_n AS raw_clicks, stated_n AS counted_clicks, shared_n AS shared, torn_n AS torn
      FROM recounted FULL OUTER JOIN stated ON rm = sm AND rad = sad
      WHERE raw_n > 0 OR stated_n > 0
    )`;
}
