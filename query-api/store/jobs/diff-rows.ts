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
});
export type DiffRow = RowOf<typeof DiffRow>;

const DiffTotals = rowShape('totals of replay_diff', {
  cells: Type.Integer(),
  before: Type.Integer(),
  after: Type.Integer(),
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
        statement`SELECT toUnixTimestamp(m) * 1000 AS minute, ad_id, country, before, after
         FROM (
           SELECT minute AS m, ad_id, country, before, after FROM replay_diff FINAL
           WHERE job = ${id} AND (minute > ${minute} OR (minute = ${minute}
             AND (ad_id > ${after.adId} OR (ad_id = ${after.adId} AND country > ${after.country}))))
           ORDER BY job, minute, ad_id, country LIMIT ${limit}
         ) ORDER BY m, ad_id, country ${settingsOf(limit, timeoutMs)}`,
      );
    },

    async diffTotals(id: string): Promise<DiffTotals> {
      const row = await readRow(
        clickhouse,
        DiffTotals,
        statement`SELECT count() AS cells, sum(b) AS before, sum(a) AS after
         FROM (SELECT before AS b, after AS a FROM replay_diff FINAL WHERE job = ${id}) ${settingsOf(1, timeoutMs)}`,
      );
      return row ?? { cells: 0, before: 0, after: 0 };
    },
  };
}
