/** The comparison of replicas, put together: of each shard that has several nodes. */
import { openCluster } from '../../infra/clickhouse/cluster.ts';
import { Retryable } from '../../infra/errors.ts';
import type { Logger } from '../../infra/log.ts';
import type { QueryApiConfig } from '../config.ts';
import type { Pipeline } from '../counted-log.ts';
import type { TimeRange } from '../queries.ts';
import { openCheckLoop, type ReplicasChecked } from './check-loop.ts';
import { untilLevel } from './level.ts';
import { differences } from './metrics.ts';
import type { OpenReplicas } from './open-replicas.ts';
import { type CheckedNode, checkReplicas, type ReplicaFindings } from './replica-check.ts';
import { comparedTables } from './replica-digests.ts';

/** Compares from time to time, where there is something to compare and this process is the one that has the jobs. */
export function openReplicaChecks(
  { replicas, pipeline }: Pick<OpenReplicas, 'replicas' | 'pipeline'>,
  config: QueryApiConfig,
  now: () => number,
  log: Logger,
): AsyncDisposable & { latest(): ReplicasChecked | undefined } {
  for (const { table } of comparedTables) differences.set({ table }, 0);
  if (!replicas.areSeveral || !config.JOBS_ENABLED)
    return { latest: () => undefined, [Symbol.asyncDispose]: async () => undefined };
  const closing = new AbortController();
  // Long reads: those of users, and looks, must not wait behind them.
  const cluster = openCluster(config, { readers: 1 });
  const check = replicaComparison({ nodes: cluster.nodes, pipeline, now, signal: closing.signal });
  const loop = openCheckLoop({ check, intervalMs: config.REPLICA_CHECK_INTERVAL_MS, now, log });
  return {
    latest: loop.latest,
    async [Symbol.asyncDispose]() {
      closing.abort();
      await loop[Symbol.asyncDispose]();
      await cluster[Symbol.asyncDispose]();
    },
  };
}

export interface ReplicaComparisonDeps {
  readonly nodes: readonly (CheckedNode & { readonly shard: number })[];
  readonly pipeline: Required<Pick<Pipeline, 'nodePositions'>>;
  readonly now: () => number;
  readonly signal?: AbortSignal;
}

export function replicaComparison({ nodes, pipeline, now, signal }: ReplicaComparisonDeps) {
  return async (range: TimeRange): Promise<ReplicaFindings> => {
    const all: ReplicaFindings[] = [];
    for (const shard of new Set(nodes.map(node => node.shard))) {
      const own = nodes.filter(node => node.shard === shard);
      if (own.length < 2) continue;
      const level = () => untilLevel({ positions: () => positionsOf(own, pipeline), ...(signal ? { signal } : {}) });
      all.push(await checkReplicas({ nodes: own, level, now }, range));
    }
    if (all.length === 0) throw new Retryable('no shard has a second node to compare with');
    return {
      differences: all.flatMap(({ differences }) => differences),
      rows: sumOf(all, 'rows'),
      buckets: sumOf(all, 'buckets'),
      unsettled: sumOf(all, 'unsettled'),
    };
  };
}

async function positionsOf(own: readonly CheckedNode[], { nodePositions }: ReplicaComparisonDeps['pipeline']) {
  return (await nodePositions()).filter(({ node }) => own.some(({ name }) => name === node));
}

function sumOf(all: readonly ReplicaFindings[], field: 'rows' | 'buckets' | 'unsettled'): number {
  return all.reduce((sum, findings) => sum + findings[field], 0);
}
