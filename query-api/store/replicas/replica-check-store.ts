/** Table `replica_check`: the result of the latest comparison of the ClickHouse nodes. */

import { Type } from 'typebox';
import { statement } from '../../../infra/clickhouse/sql.ts';
import { type Reader, type RowOf, readRow, rowShape, storedRows } from '../sql/read-rows.ts';
import { settingsOf } from '../sql/read-settings.ts';
import type { Bucket } from './replica-digests.ts';

export interface ReplicasChecked {
  /** Epoch ms. */
  readonly checkedAt: number;
  /** The number of hours of partitions in which nodes differ. */
  readonly differences: number;
  /** The first of these hours. */
  readonly places: readonly Bucket[];
}

export interface ReplicaCheckStore {
  /** Returns undefined before the first comparison. */
  latest(): Promise<ReplicasChecked | undefined>;
}

const CheckRow = rowShape('replica_check', {
  at: Type.Integer(),
  differences: Type.Integer(),
  places: Type.String(),
});

const Place = rowShape('places of replica_check', {
  table: Type.String(),
  hour: Type.Integer(),
  partition: Type.Integer(),
});

export function createReplicaCheckStore(
  clickhouse: Reader,
  { timeoutMs }: { readonly timeoutMs: number },
): ReplicaCheckStore {
  return {
    async latest() {
      const row = await readRow(
        clickhouse,
        CheckRow,
        statement`SELECT toUnixTimestamp64Milli(c.at) AS at, differences, places
         FROM (SELECT * FROM replica_check ORDER BY at DESC LIMIT 1) AS c ${settingsOf(1, timeoutMs)}`,
      );
      return row && { checkedAt: row.at, differences: row.differences, places: storedRows(Place, row.places) };
    },
  };
}

/** Returns the row of the table that is written into the log. */
export function replicaCheckRow(differences: readonly Bucket[], at: number): RowOf<typeof CheckRow> {
  const places = differences
    .slice(0, mostPlaces)
    .map(({ table, hour, partition }): Bucket => ({ table, hour, partition }));
  return { at, differences: differences.length, places: JSON.stringify(places) };
}

const mostPlaces = 100;
