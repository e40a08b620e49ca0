/**
 * The pipeline with several ClickHouse nodes: ingest, aggregator, two sinks, two query APIs and two job runners as processes,
 * on a real broker; clicks and readers all the while.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KafkaConfig, loadConfig } from '../../../infra/config.ts';
import { type Admin, ensureTopics, openAdmin } from '../../../infra/kafka/admin.ts';
import { createKafka } from '../../../infra/kafka/client.ts';
import { createLog } from '../../../infra/log.ts';
import { type Names, names as namesOf } from '../../../infra/topics.ts';
import { type ClickHouseNode, nodeAccess, startClickHouseNode } from '../../support/clickhouse-node.ts';
import { quietPort } from '../../support/quiet-port.ts';
import { startBenchBroker } from '../bench-broker.ts';
import { openLedger } from '../ledger.ts';
import { type Load, startLoad } from '../load.ts';
import { mountSmallDisk } from '../small-disk.ts';
import { startVictim, type Victim } from '../victim.ts';
import { type Readers, startReaders } from './readers.ts';
import type { NodesRound } from './rounds.ts';
import { keepTruth, type Truth } from './truth.ts';
import { createWeather, type Weather } from './weather.ts';

export interface NodesStage extends AsyncDisposable {
  readonly round: NodesRound;
  readonly scratch: string;
  readonly brokers: string;
  readonly admin: Admin;
  readonly names: Names;
  readonly shards: readonly (readonly ClickHouseNode[])[];
  readonly nodes: readonly ClickHouseNode[];
  /** Its disk can be filled; undefined: none has a small one. */
  readonly smallDisk: ClickHouseNode | undefined;
  readonly ingest: Victim;
  readonly aggregator: Victim;
  readonly sinks: readonly Victim[];
  readonly queryApis: readonly Victim[];
  readonly runners: readonly Victim[];
  readonly weather: Weather;
  readonly truth: Truth;
  readonly ledgerFile: string;
  readonly lateMinutes: readonly number[];
  readonly load: Load;
  readonly readers: Readers;
  readonly env: Readonly<Record<string, string>>;
  /** Processes that ended by themselves. */
  readonly exits: readonly string[];
  /** The most that each node had resident, MB. */
  residentMb(): ReadonlyMap<string, number>;
}

export const partitions = 4;
const lateness = { outOfOrdernessMs: 5_000, allowedLatenessMs: 10_000 };
const maxLagMs = 10_000;
const nodeMemoryMb = 1_024;
const smallDiskMb = 1_024;
const minuteMs = 60_000;

const mains = {
  ingest: 'ingest/main.ts',
  aggregator: 'aggregator/main.ts',
  sink: 'aggregator/sink/main.ts',
  queryApi: 'query-api/main.ts',
  jobs: 'query-api/jobs/main.ts',
} as const;

export async function openNodesStage(
  round: NodesRound,
  scratch: string,
  say: (line: string) => void,
): Promise<NodesStage> {
  await using stack = new AsyncDisposableStack();
  mkdirSync(scratch, { recursive: true });
  const broker = stack.use(await startBenchBroker(scratch));
  const log = createLog('bench', 'error');
  const kafka = createKafka(loadConfig(KafkaConfig, { KAFKA_BROKERS: broker.direct }), 'bench', log);
  const names = namesOf('');
  await ensureTopics(kafka, names, partitions);
  const admin = stack.use(await openAdmin(kafka));

  const shards: ClickHouseNode[][] = [];
  for (let shard = 0; shard < round.shards; shard++) {
    const own: ClickHouseNode[] = [];
    for (let replica = 0; replica < round.replicas; replica++) {
      const dataDir = join(scratch, `node-${shard}-${replica}`);
      mkdirSync(dataDir);
      if (round.diskFullMs > 0 && shard === 0 && replica === 1) stack.use(await mountSmallDisk(dataDir, smallDiskMb));
      const ports = [await quietPort(), await quietPort()] as const;
      own.push(stack.use(await startClickHouseNode({ dataDir, ports, memoryMb: nodeMemoryMb })));
    }
    shards.push(own);
  }
  const nodes = shards.flat();
  const addressOf = ({ url, urlInShards }: ClickHouseNode) => (round.shards > 1 ? urlInShards : url);
  // A stopped one does not see its parent go.
  const onExit = () => {
    for (const node of nodes) node.signal('SIGKILL');
  };
  process.once('exit', onExit);
  stack.defer(() => void process.off('exit', onExit));

  const env = {
    ...envOf(broker.direct),
    CLICKHOUSE_URL: shards.map(own => own.map(addressOf).join()).join(';'),
  };
  const exits: string[] = [];
  const victimOf = async (name: string, role: keyof typeof mains) =>
    stack.use(
      startVictim({
        ...{ name, main: mains[role], port: await quietPort(), env, scratch },
        plan: () => undefined,
        onHit: () => undefined,
        onExit: reason => exits.push(reason),
      }),
    );
  const sinks = [await victimOf('sink-1', 'sink'), await victimOf('sink-2', 'sink')];
  const aggregator = await victimOf('aggregator', 'aggregator');
  const ingest = await victimOf('ingest', 'ingest');
  const queryApis = [await victimOf('query-api-1', 'queryApi'), await victimOf('query-api-2', 'queryApi')];
  const runners = [await victimOf('jobs-1', 'jobs'), await victimOf('jobs-2', 'jobs')];
  for (const victim of [...sinks, aggregator, ingest, ...queryApis, ...runners]) await victim.ready(120_000);

  const most = new Map<string, number>();
  const sampling = setInterval(() => {
    for (const node of nodes) most.set(node.name, Math.max(most.get(node.name) ?? 0, residentOf(node)));
  }, 1_000);
  stack.defer(() => clearInterval(sampling));

  const ledgerFile = join(scratch, 'ledger.jsonl');
  const truth = stack.use(keepTruth(openLedger(ledgerFile), lateness));
  const load = startLoad({ urls: [ingest.url], ledger: truth, name: 'ad', clients: round.clients, pauseMs: 250 });
  const now = Date.now();
  const longAgo = now - (now % minuteMs) - 180 * minuteMs;
  const lateMinutes = [0, 1, 2, 3].map(i => longAgo + i * minuteMs);
  const weather = createWeather();
  await sleep(3_000);
  const urls = queryApis.map(({ url }) => url);
  const readers = startReaders({ urls, truth, lateness, maxLagMs, weather, lateMinutes, pauseMs: 150, say });
  const held = stack.move();
  return {
    ...{ round, scratch, brokers: broker.direct, admin, names, shards, nodes, env, exits },
    ...{ ingest, aggregator, sinks, queryApis, runners, weather, truth, ledgerFile, lateMinutes, load, readers },
    smallDisk: round.diskFullMs > 0 ? shards[0]?.[1] : undefined,
    residentMb: () => most,
    [Symbol.asyncDispose]: () => held[Symbol.asyncDispose](),
  };
}

function envOf(brokers: string): Record<string, string> {
  return {
    ...nodeAccess,
    LOG_LEVEL: 'info',
    KAFKA_BROKERS: brokers,
    AGGREGATOR_SESSION_TIMEOUT_MS: '4000',
    SINK_SESSION_TIMEOUT_MS: '6000',
    SINK_RAW_INTERVAL_MS: '500',
    OUT_OF_ORDERNESS_MS: String(lateness.outOfOrdernessMs),
    ALLOWED_LATENESS_MS: String(lateness.allowedLatenessMs),
    TICK_INTERVAL_MS: '1000',
    COMMIT_INTERVAL_MS: '200',
    CONSERVATION_INTERVAL_MS: '2000',
    REPLICA_CHECK_INTERVAL_MS: '5000',
    REPLICA_MAX_LAG_MS: String(maxLagMs),
  };
}

/** It may end between the question and the answer. */
function residentOf(node: ClickHouseNode): number {
  try {
    return node.residentMb();
  } catch {
    return 0;
  }
}
