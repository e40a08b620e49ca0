/** SQL of table `replay_diff`: the differences that a replay has found. */
import { Type } from 'typebox';
import { sql, statement } from '../../../infra/clickhouse/sql.ts';
import { type Reader, type RowOf, readRow, readRows, rowShape } from '../sql/read-rows.ts';
import { settingsOf } from '../sql/read-settings.ts';

export interface DiffCursor {
  /** Epoch ms. */
  readonly minute: number;
  readonly adId: string;
  readonly country: string;
}

const DiffRow = rowShape('replay_diff', {
  /** Epoch ms. */
  minute: Type.Integer(),
  ad_id: Type.String(),
  country: Type.String(),
  before: Type.Integer(),
  after: Type.Integer(),
  before_invalid: Type.Integer(),
  after_invalid: Type.Integer(),
});
export type DiffRow = RowOf<typeof DiffRow>;

/** The clicks of one ad in the counts of a job that differ, and how many of them are invalid. */
const DiffOfAd = rowShape('replay_diff by ad', {
  ad_id: Type.String(),
  cells: Type.Integer(),
  before: Type.Integer(),
  after: Type.Integer(),
  before_invalid: Type.Integer(),
  after_invalid: Type.Integer(),
});
export type DiffOfAd = RowOf<typeof DiffOfAd>;

const DiffTotals = rowShape('totals of replay_diff', {
  cells: Type.Integer(),
  before: Type.Integer(),
  after: Type.Integer(),
  invalid_before: Type.Integer(),
  invalid_after: Type.Integer(),
});
export type DiffTotals = RowOf<typeof DiffTotals>;

export function diffsOf(clickhouse: Reader, timeoutMs: number) {
  return {
    /** Returns the differences in the order of minute, ad and country. */
    async diff(id: string, after: DiffCursor, limit: number): Promise<DiffRow[]> {
      const minute = sql`toDateTime(${Math.floor(after.minute / 1_000)}, 'UTC')`;
      return await readRows(
        clickhouse,
        DiffRow,
        statement`SELECT toUnixTimestamp(m) * 1000 AS minute, ad_id, country, before, after, before_invalid, after_invalid
         FROM (
           SELECT minute AS m, ad_id, country, before, after, before_invalid, after_invalid FROM replay_diff FINAL
           WHERE job = ${id} AND (minute > ${minute} OR (minute = ${minute}
             AND (ad_id > ${after.adId} OR (ad_id = ${after.adId} AND country > ${after.country}))))
           ORDER BY job, minute, ad_id, country LIMIT ${limit}
         ) ORDER BY m, ad_id, country ${settingsOf(limit, timeoutMs)}`,
      );
    },

    /** Returns the ads whose valid clicks change most, at most `limit` of them. */
    async diffByAd(id: string, limit: number): Promise<DiffOfAd[]> {
      return await readRows(
        clickhouse,
        DiffOfAd,
        statement`SELECT ad_id, count() AS cells, sum(b) AS before, sum(a) AS after, sum(bi) AS before_invalid,
           sum(ai) AS after_invalid
         FROM (SELECT ad_id, before AS b, after AS a, before_invalid AS bi, after_invalid AS ai FROM replay_diff FINAL
           WHERE job = ${id})
         GROUP BY ad_id
         ORDER BY abs((toInt64(after) - toInt64(after_invalid)) - (toInt64(before) - toInt64(before_invalid))) DESC, ad_id
         LIMIT ${limit} ${settingsOf(limit, timeoutMs)}`,
      );
    },

    async diffTotals(id: string): Promise<DiffTotals> {
      const row = await readRow(
        clickhouse,
        DiffTotals,
        statement`SELECT count() AS cells, sum(b) AS before, sum(a) AS after, sum(bi) AS invalid_before,
           sum(ai) AS invalid_after
         FROM (SELECT before AS b, after AS a, before_invalid AS bi, after_invalid AS ai FROM replay_diff FINAL
           WHERE job = ${id}) ${settingsOf(1, timeoutMs)}`,
      );
      return row ?? { cells: 0, before: 0, after: 0, invalid_before: 0, invalid_after: 0 };
    },
  };
}
