/** The pipeline on three brokers: two ingests, two aggregators, with or without the store, and clicks all the while. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KafkaConfig, loadConfig } from '../../../infra/config.ts';
import type { ClickHouseEnv } from '../../../infra/embedded/clickhouse.ts';
import { type Admin, ensureTopics, openAdmin } from '../../../infra/kafka/admin.ts';
import { createKafka } from '../../../infra/kafka/client.ts';
import { createLog } from '../../../infra/log.ts';
import { type Names, names as namesOf, topicNames } from '../../../infra/topics.ts';
import { createTables } from '../../support/clickhouse.ts';
import { type ClusterOptions, type KafkaCluster, startKafkaCluster } from '../../support/kafka-cluster.ts';
import { quietPort } from '../../support/quiet-port.ts';
import { startDatabase } from '../database.ts';
import { startVictim, type Victim } from '../victim.ts';
import { countLeaderMoves } from './leader-moves.ts';
import { type ClusterLoad, type ClusterLoadOptions, startClusterLoad } from './load.ts';
import type { WholeLog } from './log-checks.ts';

export interface ClusterStage extends AsyncDisposable {
  readonly cluster: KafkaCluster;
  readonly admin: Admin;
  readonly names: Names;
  readonly partitions: number;
  readonly scratch: string;
  readonly clickHouse: ClickHouseEnv | undefined;
  readonly load: ClusterLoad;
  readonly victims: readonly Victim[];
  readonly queryApi: Victim | undefined;
  readonly sink: Victim | undefined;
  /** Processes that ended by themselves. */
  readonly exits: readonly string[];
  /** Every topic that must be in sync, Kafka's own too. */
  readonly topics: readonly string[];
  /** Of partitions of `clicks`, since the load began, as metadata showed them. */
  leaderMoves(): number;
  /** Resolves when the aggregators have counted all that is in the log now. */
  counted(timeoutMs: number): Promise<void>;
  /** The whole log, read with Kafka's own consumer. */
  readLog(): Promise<WholeLog>;
}

export interface StageOptions {
  readonly scratch: string;
  readonly withStore: boolean;
  readonly load: Omit<ClusterLoadOptions, 'urls' | 'partitions'>;
  readonly cluster?: ClusterOptions;
}

const partitions = 12;

export async function openClusterStage(options: StageOptions): Promise<ClusterStage> {
  const { scratch, withStore, cluster: clusterOptions = {} } = options;
  await using stack = new AsyncDisposableStack();
  mkdirSync(scratch, { recursive: true });
  const cluster = stack.use(await startKafkaCluster(clusterOptions));
  const kafka = createKafka(
    loadConfig(KafkaConfig, { KAFKA_BROKERS: cluster.direct }),
    'bench',
    createLog('bench', 'error'),
  );
  const names = namesOf('');
  await ensureTopics(kafka, names, partitions);
  const admin = stack.use(await openAdmin(kafka));

  const clickHouse = withStore ? stack.use(await startDatabase(join(scratch, 'store'))).env : undefined;
  if (clickHouse) await createTables({ ...clickHouse });
  const exits: string[] = [];
  const victimOf = async (name: string, main: string) =>
    stack.use(
      startVictim({
        name,
        main,
        port: await quietPort(),
        env: { ...envOf(cluster.brokers), ...clickHouse },
        scratch,
        plan: () => undefined,
        onHit: () => undefined,
        onExit: reason => exits.push(reason),
      }),
    );
  const ingests = [await victimOf('ingest-1', 'ingest/main.ts'), await victimOf('ingest-2', 'ingest/main.ts')];
  const aggregators = [
    await victimOf('aggregator-1', 'aggregator/main.ts'),
    await victimOf('aggregator-2', 'aggregator/main.ts'),
  ];
  const queryApi = withStore ? await victimOf('query-api', 'query-api/main.ts') : undefined;
  const sink = withStore ? await victimOf('sink', 'aggregator/sink/main.ts') : undefined;
  const jobs = withStore ? await victimOf('jobs', 'query-api/jobs/main.ts') : undefined;
  const victims = [...ingests, ...aggregators, ...[queryApi, sink, jobs].filter(victim => victim !== undefined)];
  for (const victim of victims) await victim.ready(90_000);

  const topics = [...topicNames.map(names.topic), '__consumer_offsets', '__transaction_state'];
  await cluster.inSync(topics);
  await cluster.control.electPreferred(topics);
  await cluster.control.watch([names.topic('clicks')], 250);
  await sleep(500);
  const from = Date.now();
  const load = startClusterLoad({ ...options.load, partitions, urls: ingests.map(({ url }) => url) });
  stack.defer(() => load.stop());
  const held = stack.move();
  return {
    ...{ cluster, admin, names, partitions, scratch, clickHouse, load, victims, queryApi, sink, exits, topics },
    leaderMoves: () => countLeaderMoves(cluster.control.moves, from),
    async counted(timeoutMs) {
      const ends = await admin.endOffsets(names.topic('clicks'));
      const deadline = Date.now() + timeoutMs;
      for (;;) {
        const commits = await admin.commits(names.aggregatorGroup, names.topic('clicks'));
        const behind = [...ends].filter(([partition, end]) => end > 0 && (commits.get(partition)?.offset ?? 0) < end);
        if (behind.length === 0) return;
        if (Date.now() > deadline) {
          const shown = behind.map(([partition, end]) => `${partition}: ${commits.get(partition)?.offset} of ${end}`);
          throw new Error(`not counted within ${timeoutMs / 1_000} s: ${shown.join(', ')}`);
        }
        await sleep(250);
      }
    },
    async readLog() {
      const read = (topic: 'clicks' | 'aggregates' | 'quarantine') =>
        cluster.control.read(names.topic(topic), join(scratch, `${topic}.tsv`));
      return {
        clicks: await read('clicks'),
        aggregates: await read('aggregates'),
        quarantine: await read('quarantine'),
      };
    },
    [Symbol.asyncDispose]: () => held[Symbol.asyncDispose](),
  };
}

function envOf(brokers: string): Record<string, string> {
  return {
    LOG_LEVEL: 'info',
    KAFKA_BROKERS: brokers,
    SINK_SESSION_TIMEOUT_MS: '6000',
    OUT_OF_ORDERNESS_MS: '5000',
    ALLOWED_LATENESS_MS: '10000',
    TICK_INTERVAL_MS: '1000',
    COMMIT_INTERVAL_MS: '200',
    CONSERVATION_INTERVAL_MS: '1000',
  };
}
