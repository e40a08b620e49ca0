/**
 * Table `conservation_check`: the result of the latest comparison of rows with counters, and of raw clicks with counts.
 */

import { Type } from 'typebox';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { statement } from '../../../infra/clickhouse/sql.ts';
import { type RowOf, readRow, rowShape, storedRows } from '../sql/read-rows.ts';
import { settingsOf } from '../sql/read-settings.ts';

const Difference = rowShape('differences of conservation_check', {
  partition: Type.Integer(),
  outcome: Type.Enum(['received', 'counted', 'duplicates', 'quarantined', 'invalid']),
  expected: Type.Integer(),
  found: Type.Integer(),
  difference: Type.Integer(),
});

export interface RowsChecked {
  /** When every partition was last known, in epoch ms. Undefined until that has happened. */
  readonly checkedAt: number | undefined;
  readonly differences: readonly RowOf<typeof Difference>[];
  /**
   * Accepted clicks that came too late, and are in no count long after that. Undefined until they are looked for.
   */
  readonly uncounted?: number | undefined;
}

const CheckRow = rowShape('conservation_check', {
  checked_at: Type.Integer(),
  differences: Type.String(),
  uncounted: Type.Integer(),
});

export interface ConservationStore {
  /** Undefined before the first comparison. */
  latest(): Promise<RowsChecked | undefined>;
}

export function createConservationStore(
  clickhouse: ClickHouse,
  { timeoutMs }: { readonly timeoutMs: number },
): ConservationStore {
  return {
    async latest() {
      const row = await readRow(
        clickhouse,
        CheckRow,
        statement`SELECT toUnixTimestamp64Milli(c.checked_at) AS checked_at, differences, uncounted
         FROM (SELECT * FROM conservation_check ORDER BY at DESC LIMIT 1) AS c ${settingsOf(1, timeoutMs)}`,
      );
      if (row === undefined) return undefined;
      return {
        checkedAt: row.checked_at || undefined,
        differences: storedRows(Difference, row.differences),
        uncounted: row.uncounted === -1 ? undefined : row.uncounted,
      };
    },
  };
}

/** Returns the row of the table that is written into the log. */
export function rowOf({ checkedAt = 0, differences, uncounted = -1 }: RowsChecked, at: number) {
  return { at, checked_at: checkedAt, differences: JSON.stringify(differences), uncounted };
}
