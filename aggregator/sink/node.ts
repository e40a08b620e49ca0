/** CONTRACT: a ClickHouse node, as its sink sees it: its name, its consumer groups, its partitions. */
import { shardOf, type TopologyNode } from '../../infra/clickhouse/topology.ts';

export interface SinkNode {
  /** For metrics and logs. */
  readonly name: string;
  /** In the names of its groups; undefined: it is the only one, and has them without. */
  readonly inGroups: string | undefined;
  /** Which life of its tables offsets are committed for (infra/clickhouse/incarnation.ts). */
  readonly incarnation: string;
  /** Whether its shard holds the clicks of this partition, and the counts of them. */
  holds(partition: number): boolean;
}

/** Of a topology with `shards` shards and `nodes` nodes in all. */
export function sinkNode(
  { name, shard }: Pick<TopologyNode, 'name' | 'shard'>,
  topology: { readonly shards: number; readonly nodes: number },
  incarnation: string,
): SinkNode {
  return {
    name,
    inGroups: topology.nodes > 1 ? name : undefined,
    incarnation,
    holds: partition => shardOf(partition, topology.shards) === shard,
  };
}

/** The only node of a topology, whose tables were there before incarnations were. */
export const onlyNode: SinkNode = sinkNode({ name: 'only', shard: 0 }, { shards: 1, nodes: 1 }, '');
