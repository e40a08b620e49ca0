/** Opens the ClickHouse nodes that this process reads, and finds how far their sinks are. */
import { sinkNode } from '../../aggregator/sink/node.ts';
import { cached } from '../../infra/cached.ts';
import { type ClickHouseOptions, readingAs } from '../../infra/clickhouse/clickhouse.ts';
import { type Cluster, type ClusterNode, openCluster } from '../../infra/clickhouse/cluster.ts';
import { incarnationOf } from '../../infra/clickhouse/incarnation.ts';
import { checkReached, overShards, remoteAccess } from '../../infra/clickhouse/over-shards.ts';
import type { ClickHouseConfig } from '../../infra/config.ts';
import { inTime } from '../../infra/in-time.ts';
import type { Logger } from '../../infra/log.ts';
import { type AskedLog, type CountedLogDeps, countedLogOf } from '../log/kafka-log.ts';
import type { FollowedNode } from '../log/node-positions.ts';
import type { NodeReport } from './known-nodes.ts';
import { failovers } from './metrics.ts';
import { watchReplicas } from './replica-watch.ts';
import { oneReplica, type Replicas, replicasOf, type Shards } from './replicas.ts';

export interface OpenReplicas extends AsyncDisposable {
  readonly replicas: Replicas;
  readonly countedLog: AskedLog;
  /** Empty when there is a single node. */
  reports(): readonly NodeReport[];
  readonly nodes: readonly ClusterNode[];
  /** Resolves after the first look at each node. */
  readonly looked: Promise<void>;
}

export interface OpenReplicasDeps extends Omit<CountedLogDeps, 'nodes' | 'read'> {
  readonly config: ClickHouseConfig & { readonly REPLICA_MAX_LAG_MS: number };
  /** The limits for each node, because each node has places of its own. */
  readonly limits: ClickHouseOptions;
  readonly now: () => number;
  readonly log: Logger;
}

/** @throws ConfigError for a topology that cannot be read */
export function openReplicas(deps: OpenReplicasDeps): OpenReplicas {
  const opened = new AsyncDisposableStack();
  const cluster = opened.use(openCluster(deps.config, deps.limits));
  for (const { name } of cluster.nodes) failovers.inc({ from: name }, 0);
  return cluster.nodes.length === 1 ? openSingle(deps, cluster, opened) : openSeveral(deps, cluster, opened);
}

function openSingle({ now, log, ...asked }: OpenReplicasDeps, cluster: Cluster, opened: AsyncDisposableStack) {
  const [first] = cluster.nodes;
  // It does not wait behind users, because answers about raw clicks need it.
  const own = readingAs('operations', first.clickhouse);
  const incarnation = cached(() => inTime(incarnationOf(own)).catch(() => undefined), 5_000);
  const nodes = followed(cluster, incarnation);
  const countedLog = opened.use(countedLogOf({ ...asked, nodes, read: () => nodes }));
  return {
    replicas: oneReplica(first.name, first.clickhouse),
    countedLog,
    nodes: cluster.nodes,
    reports: () => [],
    looked: Promise.resolve(),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

function openSeveral(
  { config, now, log, ...asked }: OpenReplicasDeps,
  cluster: Cluster,
  opened: AsyncDisposableStack,
): OpenReplicas {
  const probes = opened.use(openCluster(config, { readers: 1 }));
  const nodes = followed(cluster, async name => incarnation(name));
  const read = () => replicas.nodes().map(({ name }) => only(nodes, name));
  const countedLog = opened.use(countedLogOf({ ...asked, nodes, read }));
  // All shards share one question.
  const positions = cached(countedLog.nodePositions, 500);
  const watchShard = (of: readonly ClusterNode[], shard: number) =>
    opened.use(
      watchReplicas({
        nodes: of.map(({ name, tcp, clickhouse }) => {
          const own = probes.nodes.find(node => node.name === name)?.clickhouse ?? clickhouse;
          return { name, tcp, clickhouse, probe: readingAs('operations', own) };
        }),
        shard: { shard, of: cluster.shards.length },
        ...{ positions, now, log },
        maxLagMs: config.REPLICA_MAX_LAG_MS,
      }),
    );
  const [firstWatch, ...others] = cluster.shards.map(watchShard);
  if (firstWatch === undefined) throw new RangeError('a topology has a shard');
  const watches = [firstWatch, ...others] as const;
  const incarnation = (name: string) =>
    watches.map(watch => watch.incarnation(name)).find(found => found !== undefined);
  const replicas = replicasOf(watches, cluster.shards.length > 1 ? shardsOf(config, incarnation) : undefined);
  const reports = () => watches.flatMap(watch => watch.reports());
  const looked = Promise.all(watches.map(watch => watch.looked)).then(() => undefined);
  return {
    replicas,
    countedLog,
    nodes: cluster.nodes,
    reports,
    looked,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

function followed(
  { nodes, shards }: Cluster,
  incarnation: (name: string) => Promise<string | undefined>,
): readonly FollowedNode[] {
  const topology = { shards: shards.length, nodes: nodes.length };
  return nodes.map(node => ({ ...sinkNode(node, topology, ''), incarnation: () => incarnation(node.name) }));
}

function only(nodes: readonly FollowedNode[], name: string): FollowedNode {
  const found = nodes.find(node => node.name === name);
  if (found === undefined) throw new RangeError(`no node ${name}`);
  return found;
}

/** Checks once for each choice of nodes that they reach each other, and again when one of them was emptied. */
export function shardsOf(config: ClickHouseConfig, incarnationOf: (name: string) => string | undefined): Shards {
  const access = remoteAccess(config);
  const checked = new Set<string>();
  return {
    over: nodes => overShards(nodes, access),
    async check(nodes) {
      const key = nodes.map(({ name }) => `${name} ${incarnationOf(name)}`).join();
      if (checked.has(key)) return;
      await checkReached(nodes, access, incarnationOf);
      checked.add(key);
    },
  };
}
