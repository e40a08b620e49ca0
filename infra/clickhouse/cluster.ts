/** Opens the ClickHouse servers of a topology, each with a client of its own. No server is contacted yet. */

import type { ClickHouseConfig } from '../config.ts';
import { type ClickHouse, type ClickHouseOptions, openClickHouse } from './clickhouse.ts';
import { assertOneAddressEach, tableEngineOf } from './table-engine.ts';
import { type Topology, type TopologyNode, topologyOf } from './topology.ts';

export interface ClusterNode extends Pick<TopologyNode, 'name' | 'shard' | 'tcp'> {
  readonly clickhouse: ClickHouse;
}

export interface Cluster extends AsyncDisposable {
  readonly shards: readonly (readonly ClusterNode[])[];
  /** The nodes of all shards. There is at least one. */
  readonly nodes: readonly [ClusterNode, ...ClusterNode[]];
}

/**
 * @throws ConfigError where CLICKHOUSE_URL is not a topology, or not one that fits the way in which tables are created
 */
export function openCluster(config: ClickHouseConfig, options: ClickHouseOptions): Cluster {
  const topology = topologyOf(config);
  assertOneAddressEach(topology, tableEngineOf(config));
  return openNodes(topology, config, options);
}

function openNodes(topology: Topology, config: ClickHouseConfig, options: ClickHouseOptions): Cluster {
  const shards = topology.map(nodes =>
    nodes.map(({ name, shard, url, user, password, tcp }): ClusterNode => {
      const own = { ...config, CLICKHOUSE_URL: url, CLICKHOUSE_USER: user, CLICKHOUSE_PASSWORD: password };
      return { name, shard, tcp, clickhouse: openClickHouse(own, options) };
    }),
  );
  const [first, ...others] = shards.flat();
  if (first === undefined) throw new RangeError('a topology must have at least one node');
  return {
    shards,
    nodes: [first, ...others],
    async [Symbol.asyncDispose]() {
      await Promise.all([first, ...others].map(({ clickhouse }) => clickhouse[Symbol.asyncDispose]()));
    },
  };
}
