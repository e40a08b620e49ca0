/** A ClickHouse as the only node of a topology, as who runs the jobs has it. */
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import type { OpenReplicas } from '../../query-api/replicas/open-replicas.ts';
import { oneReplica } from '../../query-api/replicas/replicas.ts';

export function oneNode(clickhouse: ClickHouse): Pick<OpenReplicas, 'replicas' | 'nodes'> {
  return {
    replicas: oneReplica('clickhouse', clickhouse),
    nodes: [{ name: 'clickhouse', shard: 0, tcp: '', clickhouse }],
  };
}
