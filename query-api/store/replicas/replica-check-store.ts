/** Table `replica_check`: what the latest comparison of the ClickHouse nodes has found. */

import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { statement } from '../../../infra/clickhouse/sql.ts';
import { settingsOf } from '../sql/read-settings.ts';
import type { Bucket } from './replica-digests.ts';

export interface ReplicasChecked {
  /** Epoch ms. */
  readonly checkedAt: number;
  /** Hours of partitions in which nodes differ. */
  readonly differences: number;
  /** The first of them. */
  readonly places: readonly Bucket[];
}

export interface ReplicaCheckStore {
  /** Undefined where none was made. */
  latest(): Promise<ReplicasChecked | undefined>;
}

export function createReplicaCheckStore(
  clickhouse: Pick<ClickHouse, 'query'>,
  { timeoutMs }: { readonly timeoutMs: number },
): ReplicaCheckStore {
  return {
    async latest() {
      const [row] = await clickhouse.query<ReplicaCheckRow>(
        ...statement`SELECT toUnixTimestamp64Milli(c.at) AS at, differences, places
         FROM (SELECT * FROM replica_check ORDER BY at DESC LIMIT 1) AS c ${settingsOf(1, timeoutMs)}`,
      );
      return row && { checkedAt: row.at, differences: row.differences, places: JSON.parse(row.places) };
    },
  };
}

interface ReplicaCheckRow {
  readonly at: number;
  readonly differences: number;
  readonly places: string;
}

/** A row of the table. */
export function replicaCheckRow(differences: readonly Bucket[], at: number): ReplicaCheckRow {
  const places = differences
    .slice(0, mostPlaces)
    .map(({ table, hour, partition }): Bucket => ({ table, hour, partition }));
  return { at, differences: differences.length, places: JSON.stringify(places) };
}

const mostPlaces = 100;
