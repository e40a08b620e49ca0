/** The ClickHouse nodes that this process reads, and how far their sinks are. */
import { sinkNode } from '../../aggregator/sink/node.ts';
import { type Cluster, type ClusterNode, openCluster } from '../../infra/clickhouse/cluster.ts';
import { incarnationOf } from '../../infra/clickhouse/incarnation.ts';
import { type ClickHouseOptions, readingAs } from '../../infra/clickhouse.ts';
import type { ClickHouseConfig } from '../../infra/config.ts';
import { ConfigError } from '../../infra/errors.ts';
import type { Logger } from '../../infra/log.ts';
import { cached } from '../cached.ts';
import { inTime } from '../in-time.ts';
import type { FollowedNode } from '../node-positions.ts';
import { type AskedPipeline, type PipelineDeps, pipelineOf } from '../pipeline.ts';
import { failovers } from './metrics.ts';
import { type NodeReport, watchReplicas } from './replica-watch.ts';
import { oneReplica, type Replicas, replicasOf } from './replicas.ts';

export interface OpenReplicas extends AsyncDisposable {
  readonly replicas: Replicas;
  readonly pipeline: AskedPipeline;
  /** Empty where there is one. */
  reports(): readonly NodeReport[];
  readonly nodes: readonly ClusterNode[];
  /** Resolves once it is known how each of them is. */
  readonly looked: Promise<void>;
}

export interface OpenReplicasDeps extends Omit<PipelineDeps, 'nodes' | 'node'> {
  readonly config: ClickHouseConfig & { readonly REPLICA_MAX_LAG_MS: number };
  /** Of each node: each has places of its own. */
  readonly limits: ClickHouseOptions;
  readonly now: () => number;
  readonly log: Logger;
}

/** @throws ConfigError for a topology that cannot be read */
export function openReplicas({ config, limits, now, log, ...asked }: OpenReplicasDeps): OpenReplicas {
  const opened = new AsyncDisposableStack();
  const cluster = opened.use(openCluster(config, limits));
  refuseShards(cluster);
  for (const { name } of cluster.nodes) failovers.inc({ from: name }, 0);
  const followed = (incarnation: (name: string) => Promise<string | undefined>) =>
    cluster.nodes.map((node): FollowedNode => {
      const topology = { shards: cluster.shards.length, nodes: cluster.nodes.length };
      return { ...sinkNode(node, topology, ''), incarnation: () => incarnation(node.name) };
    });

  const [first] = cluster.nodes;
  if (cluster.nodes.length === 1) {
    // Not behind users: what is told of raw clicks depends on it.
    const own = readingAs('operations', first.clickhouse);
    const incarnation = cached(() => inTime(incarnationOf(own)).catch(() => undefined), 5_000, now);
    const nodes = followed(incarnation);
    const pipeline = opened.use(pipelineOf({ ...asked, nodes, node: () => only(nodes, first.name) }));
    const replicas = oneReplica(first.name, first.clickhouse);
    return {
      replicas,
      pipeline,
      nodes: cluster.nodes,
      reports: () => [],
      looked: Promise.resolve(),
      [Symbol.asyncDispose]: () => opened.disposeAsync(),
    };
  }

  const probes = opened.use(openCluster(config, { readers: 1 }));
  const nodes = followed(async name => watch.incarnation(name));
  const pipeline = opened.use(pipelineOf({ ...asked, nodes, node: () => only(nodes, replicas.node()) }));
  const watch = opened.use(
    watchReplicas({
      nodes: cluster.nodes.map(({ name, clickhouse }, i) => {
        return { name, clickhouse, probe: readingAs('operations', probes.nodes[i]?.clickhouse ?? clickhouse) };
      }),
      positions: pipeline.nodePositions,
      maxLagMs: config.REPLICA_MAX_LAG_MS,
      ...{ now, log },
    }),
  );
  const replicas = replicasOf(watch);
  const { reports, looked } = watch;
  return {
    replicas,
    pipeline,
    nodes: cluster.nodes,
    reports,
    looked,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** One answer over several shards is not built: half of the clicks would be told as all. */
function refuseShards({ shards }: Cluster): void {
  if (shards.length > 1)
    throw new ConfigError(
      `CLICKHOUSE_URL has ${shards.length} shards: sinks can fill them, but this release reads from one shard only ` +
        '(separate nodes with commas to have replicas of one shard)',
    );
}

function only(nodes: readonly FollowedNode[], name: string): FollowedNode {
  const found = nodes.find(node => node.name === name);
  if (found === undefined) throw new RangeError(`no node ${name}`);
  return found;
}
