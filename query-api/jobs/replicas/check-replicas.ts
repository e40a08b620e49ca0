/** Puts the comparison of replicas together. It compares the nodes of each shard that has several. */

import { readingAs } from '../../../infra/clickhouse/clickhouse.ts';
import { openCluster } from '../../../infra/clickhouse/cluster.ts';
import { Retryable } from '../../../infra/errors.ts';
import type { Logger } from '../../../infra/log.ts';
import type { FollowedErasures } from '../../../ingest/privacy/follow-erasures.ts';
import type { CountedLog } from '../../log/counted-log.ts';
import type { JobLog } from '../../log/job-log.ts';
import type { OpenReplicas } from '../../replicas/open-replicas.ts';
import { hasReplicas } from '../../replicas/shard.ts';
import { createReplicaCheckStore, replicaCheckRow } from '../../store/replicas/replica-check-store.ts';
import type { TimeRange } from '../../time/time-range.ts';
import type { JobsConfig } from '../config.ts';
import { openCheckLoop } from './check-loop.ts';
import { untilLevel } from './level.ts';
import { erasuresOpenIn } from './open-erasures.ts';
import { type CheckedNode, checkReplicas, type ReplicaFindings } from './replica-check.ts';

export interface ReplicaChecksDeps {
  readonly config: JobsConfig;
  readonly store: Pick<OpenReplicas, 'replicas' | 'nodes'>;
  readonly countedLog: ReplicaComparisonDeps['countedLog'];
  readonly jobLog: Pick<JobLog, 'write'>;
  readonly erasures: ReplicaComparisonDeps['erasures'];
  readonly now: () => number;
  readonly log: Logger;
}

/** Compares in intervals, if any shard has several nodes, and writes what it has found into the job log. */
export function openReplicaChecks({
  config,
  store: { replicas, nodes },
  countedLog,
  jobLog,
  erasures,
  now,
  log,
}: ReplicaChecksDeps): AsyncDisposable {
  if (!hasReplicas(nodes)) return { [Symbol.asyncDispose]: async () => undefined };
  const closing = new AbortController();
  // These reads are long. They have connections of their own, so that the reads of jobs do not wait behind them.
  const cluster = openCluster(config, { readers: 1 });
  const compared = cluster.nodes.map(node => ({ ...node, clickhouse: readingAs('jobs', node.clickhouse) }));
  const checks = createReplicaCheckStore(readingAs('jobs', replicas.clickhouse), {
    timeoutMs: config.QUERY_TIMEOUT_MS,
  });
  const loop = openCheckLoop({
    check: replicaComparison({ nodes: compared, countedLog, erasures, now, signal: closing.signal }),
    before: async () => (await checks.latest())?.places ?? [],
    onChecked: (differences, at) => jobLog.write([{ kind: 'replica-check', rows: [replicaCheckRow(differences, at)] }]),
    intervalMs: config.REPLICA_CHECK_INTERVAL_MS,
    ...{ now, log },
  });
  return {
    async [Symbol.asyncDispose]() {
      closing.abort();
      await loop[Symbol.asyncDispose]();
      await cluster[Symbol.asyncDispose]();
    },
  };
}

export interface ReplicaComparisonDeps {
  readonly nodes: readonly (CheckedNode & { readonly shard: number })[];
  readonly countedLog: Required<Pick<CountedLog, 'nodePositions'>>;
  readonly erasures: Pick<FollowedErasures, 'book' | 'readToEnd'>;
  readonly now: () => number;
  readonly signal?: AbortSignal;
}

export function replicaComparison({ nodes, countedLog, erasures, now, signal }: ReplicaComparisonDeps) {
  const areErasuresOpen = erasuresOpenIn(erasures);
  return async (range: TimeRange): Promise<ReplicaFindings> => {
    const all: ReplicaFindings[] = [];
    for (const shard of new Set(nodes.map(node => node.shard))) {
      const own = nodes.filter(node => node.shard === shard);
      if (own.length < 2) continue;
      const level = () => untilLevel({ positions: () => positionsOf(own, countedLog), ...(signal ? { signal } : {}) });
      all.push(await checkReplicas({ nodes: own, level, areErasuresOpen, now }, range));
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

async function positionsOf(own: readonly CheckedNode[], { nodePositions }: ReplicaComparisonDeps['countedLog']) {
  return (await nodePositions()).filter(({ node }) => own.some(({ name }) => name === node));
}

function sumOf(all: readonly ReplicaFindings[], field: 'rows' | 'buckets' | 'unsettled'): number {
  return all.reduce((sum, findings) => sum + findings[field], 0);
}
