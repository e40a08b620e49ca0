/** A shard among others: which partitions its nodes hold, and that none of its nodes can be read. */

import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { type InShards, shardOf } from '../../infra/clickhouse/topology.ts';
import { Retryable } from '../../infra/errors.ts';
import { partitionBeside } from '../store/ad-counts.ts';

export function holds({ shard, of }: InShards, partition: number): boolean {
  return shardOf(partition, of) === shard;
}

/** Whether a shard has several nodes. */
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
 * Why a node cannot be read as one of its shard, if it was filled as one of another, when there were fewer shards or they
 * stood in another order: what it holds beyond its part would be told twice. Undefined: it holds none of it.
 */
export async function strayPartition(
  clickhouse: Pick<ClickHouse, 'query'>,
  { shard, of }: InShards,
): Promise<string | undefined> {
  if (of === 1) return undefined;
  const partition = await partitionBeside(clickhouse, shard, of);
  if (partition === undefined) return undefined;
  const other = shardOf(partition, of);
  return `it holds partition ${partition}, which is of shard ${other}: it was filled when shards were others, and has to be emptied`;
}
