/** Table `conservation_check`: what the latest comparison of rows with counters, and of raw clicks with counts, has found. */

import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { statement } from '../../../infra/clickhouse/sql.ts';
import { settingsOf } from '../sql/read-settings.ts';

export interface RowsChecked {
  /** When something was known of every partition, epoch ms; undefined: not yet. */
  readonly checkedAt: number | undefined;
  readonly differences: readonly {
    readonly partition: number;
    readonly outcome: 'received' | 'counted' | 'duplicates' | 'quarantined';
    readonly expected: number;
    readonly found: number;
    readonly difference: number;
  }[];
  /** Accepted clicks that are in no count, long after they came too late; undefined: not looked for yet. */
  readonly uncounted?: number | undefined;
}

export interface ConservationStore {
  /** Undefined where none was made. */
  latest(): Promise<RowsChecked | undefined>;
}

export function createConservationStore(
  clickhouse: ClickHouse,
  { timeoutMs }: { readonly timeoutMs: number },
): ConservationStore {
  return {
    async latest() {
      const [row] = await clickhouse.query<Omit<ReturnType<typeof rowOf>, 'at'>>(
        ...statement`SELECT toUnixTimestamp64Milli(c.checked_at) AS checked_at, differences, uncounted
         FROM (SELECT * FROM conservation_check ORDER BY at DESC LIMIT 1) AS c ${settingsOf(1, timeoutMs)}`,
      );
      if (row === undefined) return undefined;
      return {
        checkedAt: row.checked_at || undefined,
        differences: JSON.parse(row.differences),
        uncounted: row.uncounted === -1 ? undefined : row.uncounted,
      };
    },
  };
}

/** A row of the table. */
export function rowOf({ checkedAt = 0, differences, uncounted = -1 }: RowsChecked, at: number) {
  return { at, checked_at: checkedAt, differences: JSON.stringify(differences), uncounted };
}
