/** Rules for one of several shards: which partitions its nodes hold, and the error when none of its nodes can be read. */

import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { type InShards, shardOf } from '../../infra/clickhouse/topology.ts';
import { Retryable } from '../../infra/errors.ts';
import { partitionBeside } from '../store/ad-counts.ts';

export function holds({ shard, of }: InShards, partition: number): boolean {
  return shardOf(partition, of) === shard;
}

/** Returns whether a shard has several nodes. */
export function hasReplicas(nodes: readonly { readonly shard: number }[]): boolean {
  return new Set(nodes.map(({ shard }) => shard)).size < nodes.length;
}

export class NoReplica extends Retryable {
  readonly shard: InShards;

  constructor(shard: InShards, why: string) {
    super(`no ClickHouse node ${shard.of > 1 ? `of shard ${shard.shard} ` : ''}can be read: ${why}`);
    this.shard = shard;
  }
}

/**
 * Returns why a node cannot be read as a node of its shard: it was filled as a node of another shard, when there were
 * fewer shards, or they were in another order. Its rows of other shards would be counted twice. Returns undefined when
 * it has no such rows.
 */
export async function strayPartition(
  clickhouse: Pick<ClickHouse, 'query'>,
  { shard, of }: InShards,
): Promise<string | undefined> {
  if (of === 1) return undefined;
  const partition = await partitionBeside(clickhouse, shard, of);
  if (partition === undefined) return undefined;
  const other = shardOf(partition, of);
  return `it holds partition ${partition}, which belongs to shard ${other}: it was filled for other shards, and must be emptied`;
}
