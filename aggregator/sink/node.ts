/** CONTRACT: describes a ClickHouse node as its sink sees it: its name, its consumer groups, its partitions. */
import { shardOf, type TopologyNode } from '../../infra/clickhouse/topology.ts';

export interface SinkNode {
  /** The name in metrics and logs. */
  readonly name: string;
  /**
   * The part of its consumer groups' names that identifies the node. It is undefined for the only node of a topology.
   */
  readonly inGroups: string | undefined;
  /** The incarnation of its tables for which offsets are committed (infra/clickhouse/incarnation.ts). */
  readonly incarnation: string;
  /** Returns whether the node's shard holds the clicks of this partition, and their counts. */
  holds(partition: number): boolean;
}

/** Describes a node of a topology that has `shards` shards and `nodes` nodes in total. */
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

/** The only node of a topology. Its tables existed before incarnations did. */
export const onlyNode: SinkNode = sinkNode({ name: 'only', shard: 0 }, { shards: 1, nodes: 1 }, '');
