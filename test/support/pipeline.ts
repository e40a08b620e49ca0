/** The whole pipeline for one test file, on a real broker and a real ClickHouse: ingest, aggregator, sink, query API and job runner as processes. */
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import type { BrokerSettings } from '../../infra/embedded/broker-files.ts';
import { ensureTopics } from '../../infra/kafka/admin.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { createLog } from '../../infra/log.ts';
import { names } from '../../infra/topics.ts';
import { startTestBroker, type TestBroker, type TestBrokerOptions } from './broker.ts';
import { createTables, startTestClickHouse, type TestClickHouse } from './clickhouse.ts';
import { quietPort } from './quiet-port.ts';
import { type Service, startService } from './service.ts';

export const partitions = 4;

const ownClickHouse: TestClickHouse = { env: {}, pid: 0, [Symbol.asyncDispose]: async () => undefined };

export interface TestPipeline extends AsyncDisposable {
  readonly broker: TestBroker;
  /** With which its processes were started. */
  readonly env: Readonly<Record<string, string>>;
  readonly ingest: Service;
  readonly sink: Service;
  readonly queryApi: Service;
  readonly clickHouse: TestClickHouse;
  readonly aggregator: Service;
  readonly jobs: Service;
  /** Starts one of them again, as the supervisor would. */
  restart(name: 'ingest' | 'sink' | 'queryApi' | 'aggregator' | 'jobs'): Promise<Service>;
  post(clicks: unknown, headers?: Record<string, string>): Promise<{ status: number; body: Record<string, unknown> }>;
  get<T = Record<string, unknown>>(path: string): Promise<T>;
}

/** `broker`: of one that is killed. */
export async function startTestPipeline(
  given: Readonly<Record<string, string>> = {},
  options: { readonly broker?: TestBrokerOptions; readonly brokerSettings?: BrokerSettings } = {},
): Promise<TestPipeline> {
  const stack = new AsyncDisposableStack();
  const broker = stack.use(await startTestBroker(options.brokerSettings, options.broker));
  // Nodes of one's own get their tables from the sink.
  const clickhouse = stack.use(given['CLICKHOUSE_URL'] ? ownClickHouse : await startTestClickHouse());
  const env = {
    KAFKA_BROKERS: broker.brokers,
    AGGREGATOR_SESSION_TIMEOUT_MS: '3000',
    SINK_SESSION_TIMEOUT_MS: '6000',
    // Shorter than in production, so that tests wait less; commits are as there: more of them would be most of what a
    // pipeline costs while clicks come in.
    TICK_INTERVAL_MS: '1000',
    SINK_RAW_INTERVAL_MS: '500',
    ...clickhouse.env,
    ...given,
  };
  const kafka = createKafka(loadConfig(KafkaConfig, env), 'test', createLog('test', 'error'));
  await ensureTopics(kafka, names(''), partitions);
  if (clickhouse !== ownClickHouse) await createTables(env);

  const mains = {
    sink: ['aggregator/sink/main.ts', 'SINK_PORT'],
    queryApi: ['query-api/main.ts', 'QUERY_API_PORT'],
    aggregator: ['aggregator/main.ts', 'AGGREGATOR_PORT'],
    ingest: ['ingest/main.ts', 'INGEST_PORT'],
    jobs: ['query-api/jobs/main.ts', 'JOBS_PORT'],
  } as const;
  const ports = {
    sink: await quietPort(),
    queryApi: await quietPort(),
    aggregator: await quietPort(),
    ingest: await quietPort(),
    jobs: await quietPort(),
  };
  const start = async (name: keyof typeof mains) => {
    const [main, portKey] = mains[name];
    return stack.use(await startService(main, portKey, { ...env, [portKey]: String(ports[name]) }));
  };
  const services = {
    sink: await start('sink'),
    queryApi: await start('queryApi'),
    aggregator: await start('aggregator'),
    ingest: await start('ingest'),
    jobs: await start('jobs'),
  };
  await Promise.all(Object.values(services).map(service => service.ready()));

  return {
    broker,
    env,
    clickHouse: clickhouse,
    get ingest() {
      return services.ingest;
    },
    get sink() {
      return services.sink;
    },
    get queryApi() {
      return services.queryApi;
    },
    get aggregator() {
      return services.aggregator;
    },
    get jobs() {
      return services.jobs;
    },
    async restart(name) {
      services[name] = await start(name);
      return services[name];
    },
    async post(clicks, headers = { 'content-type': 'application/json' }) {
      const body = typeof clicks === 'string' ? clicks : JSON.stringify(clicks);
      const response = await fetch(`${services.ingest.url}/v1/clicks`, { method: 'POST', headers, body });
      return { status: response.status, body: (await response.json()) as Record<string, unknown> };
    },
    async get<T>(path: string) {
      const response = await fetch(`${services.queryApi.url}${path}`);
      if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
      return (await response.json()) as T;
    },
    [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose](),
  };
}
