/**
 * Recounts minutes in SQL, with none of the streaming code: distinct event ids of raw clicks per ad and minute, against
 * the counts that are answered. An id that stands under several ads in a minute is a conflict: the stream counts it for
 * one of them, which SQL cannot tell, so it is reported apart, and a difference that such ids explain is no drift.
 */
import type { ClickHouse } from '../../infra/clickhouse.ts';
import type { TimeRange } from '../queries.ts';
import { settingsOf } from '../read-settings.ts';
import { minuteMs } from '../time-range.ts';
import { clickedWithin, minuteWithin } from './recount-queries.ts';

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
  /** Event ids that stand under several ads in one minute. */
  readonly conflicts: number;
  /** Of the ads with the largest drift; the cells that differ only. */
  readonly ads: readonly AdDrift[];
  /** Minutes that hold cells that differ, epoch ms. */
  readonly minutes: readonly number[];
}

export type Reconciliation = ReturnType<typeof createReconciliation>;

export function createReconciliation(clickhouse: ClickHouse) {
  const rawRows = async (range: TimeRange) => {
    const [row] = await clickhouse.query<{ n: number }>(
      `SELECT count() AS n FROM click_raw WHERE ${clickedWithin(range)} ${settingsOf(1, timeoutMs)}`,
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
      const [totals] = await clickhouse.query<Pick<Reconciled, 'cells' | 'differing' | 'conflicts'>>(
        `WITH ${cellsOf(range)}
         SELECT count() AS cells, countIf(${differs}) AS differing,
           (SELECT count() FROM conflicting) AS conflicts
         FROM cells ${settingsOf(1, timeoutMs)}`,
      );
      const { cells = 0, differing = 0, conflicts = 0 } = totals ?? {};
      if (differing === 0) return { cells, differing, conflicts, ads: [], minutes: [] };
      const ads = await clickhouse.query<AdDrift>(
        `WITH ${cellsOf(range)}
         SELECT ad_id, cells, counted, raw FROM (
           SELECT ad AS ad_id, count() AS cells, sum(counted_clicks) AS counted, sum(raw_clicks) AS raw,
             abs(toInt64(raw) - toInt64(counted)) AS size
           FROM cells WHERE ${differs} GROUP BY ad ORDER BY size DESC, ad LIMIT ${adsReported}
         ) ${settingsOf(adsReported, timeoutMs)}`,
      );
      const minutes = await clickhouse.query<{ at: number }>(
        `WITH ${cellsOf(range)}
         SELECT DISTINCT toUnixTimestamp(m) * 1000 AS at FROM cells WHERE ${differs} ORDER BY at
         ${settingsOf(60, timeoutMs)}`,
      );
      return { cells, differing, conflicts, ads, minutes: minutes.map(({ at }) => at) };
    },
  };
}

/** The ads that are named; all are counted. */
export const adsReported = 100;
/** Raw clicks of one comparison: their ids are in memory, and whoever waits for a turn waits until it is done. */
const stepRows = 500_000;
const timeoutMs = 120_000;

const differs = 'raw_clicks < counted_clicks OR raw_clicks > counted_clicks + conflicted';

/** Copies of a row do no harm to distinct ids, so raw is read without FINAL. */
function cellsOf(range: TimeRange): string {
  return `
    conflicting AS (
      SELECT toStartOfMinute(clicked_at) AS at, event_id AS id FROM click_raw
      WHERE ${clickedWithin(range)} GROUP BY at, id HAVING uniqExact(ad_id) > 1
    ),
    recounted AS (
      SELECT toStartOfMinute(clicked_at) AS rm, ad_id AS rad, uniqExact(event_id) AS raw_n,
        uniqExactIf(event_id, (toStartOfMinute(clicked_at), event_id) IN (SELECT at, id FROM conflicting)) AS conflicted_n
      FROM click_raw WHERE ${clickedWithin(range)} GROUP BY rm, rad
    ),
    stated AS (
      SELECT minute AS sm, ad_id AS sad, sum(clicks) AS stated_n FROM ad_minute FINAL
      WHERE ${minuteWithin(range)} GROUP BY sm, sad
    ),
    cells AS (
      SELECT if(rad = '', sm, rm) AS m, if(rad = '', sad, rad) AS ad,
        raw_n AS raw_clicks, stated_n AS counted_clicks, conflicted_n AS conflicted
      FROM recounted FULL OUTER JOIN stated ON rm = sm AND rad = sad
      WHERE raw_n > 0 OR stated_n > 0
    )`;
}
