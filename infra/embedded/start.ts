/** Starts the pipeline step by step, and reports each step. */
import { once } from 'node:events';
import { openClickHouse } from '../clickhouse/clickhouse.ts';
import { tableEngineOf } from '../clickhouse/table-engine.ts';
import { nodesOf, topologyOf } from '../clickhouse/topology.ts';
import { type ClickHouseConfig, type KafkaConfig, withoutUserInfo } from '../config.ts';
import { ConfigError, messageOf, Retryable } from '../errors.ts';
import { ensureTopics } from '../kafka/admin.ts';
import { createKafka } from '../kafka/client.ts';
import type { DrainLimits } from '../life.ts';
import type { Logger } from '../log.ts';
import { migrate } from '../migrate.ts';
import { names } from '../topics.ts';
import { ensureClassArchive } from './broker-classes.ts';
import { ensureBrokerJars } from './broker-jars.ts';
import { type ClickHouseEnv, clickHouseEnv, clickHouseHost } from './clickhouse.ts';
import { clickHouseFiles, clickHouseUser } from './clickhouse-files.ts';
import type { EmbeddedConfig } from './config.ts';
import { requireFreeDisk } from './disk.ts';
import { findJava } from './java.ts';
import { linePrinter } from './line-printer.ts';
import { endOrphanBroker, endOrphans } from './orphans.ts';
import { brokerChild, clickHouseChild, type ServiceSpec, serviceStages } from './pipeline.ts';
import { brokerHost, type PortPlan, planPorts, type WantedPorts } from './port-plan.ts';
import { untilServiceReady } from './readiness.ts';
import { askedPatiently } from './start-wait.ts';
import type { Supervisor } from './supervisor.ts';

export interface Start {
  /** For the children. */
  readonly env: NodeJS.ProcessEnv;
  /** The settings in `env`. DATA_DIR is absolute. */
  readonly settings: EmbeddedConfig & KafkaConfig & ClickHouseConfig & WantedPorts & DrainLimits;
  readonly supervisor: Supervisor;
  readonly log: Logger;
  /** Prints a step for the user. */
  readonly say: (line: string) => void;
  readonly stop: AbortSignal;
}

export interface Started {
  readonly ingestUrl: string;
  readonly queryApiUrl: string;
  readonly brokers: string;
  /** For people. */
  readonly clickHouse: string;
}

/**
 * Resolves when every process is ready, and rejects when `stop` fires first. @throws ConfigError for what the user must
 * correct
 */
export async function startPipeline(start: Start): Promise<Started> {
  const { env, settings, supervisor, log, stop } = start;
  const { DATA_DIR, HOST } = settings;
  if (tableEngineOf(settings).prefix !== '' && !env['CLICKHOUSE_URL'])
    throw new ConfigError(
      `CLICKHOUSE_TABLE_ENGINE="${settings.CLICKHOUSE_TABLE_ENGINE}": needs CLICKHOUSE_URL, because the server that \`npm start\` starts has no replicas`,
    );
  requireOwnOperations(env, settings);
  await endOrphans(DATA_DIR, settings.DRAIN_DELAY_MS + settings.DRAIN_TIMEOUT_MS, log);
  await endOrphanBroker(DATA_DIR, log);
  const ports = await planPorts(settings, { broker: !env['KAFKA_BROKERS'], clickHouse: !env['CLICKHOUSE_URL'] });
  await requireFreeDisk(DATA_DIR, settings.MIN_FREE_DISK_MB);

  const [brokers, clickHouse] = await Promise.all([brokersFor(start, ports), clickHouseFor(start, ports)]);
  const serviceEnv = { ...env, ...clickHouse, KAFKA_BROKERS: brokers, LOG_LEVEL: env['LOG_LEVEL'] || 'warn' };
  const patience = {
    topics: ports.kafka === undefined ? 0 : settings.START_TIMEOUT_MS,
    tables: ports.clickHouse === undefined ? 0 : settings.START_TIMEOUT_MS,
  };
  await Promise.all([createTopics(start, brokers, patience.topics), createTables(start, clickHouse, patience.tables)]);
  stop.throwIfAborted();
  // Of what npm start asks: operations, which do not speak TLS on ports of their own.
  const urlOf = (port: number) => `http://${reachable(HOST)}:${port}`;
  const stages = serviceStages(DATA_DIR, serviceEnv, ports, urlOf, linePrinter(process.stdout));
  start.say(`starting ${stages.flatMap(stage => stage.map(({ name }) => name)).join(', ')}`);
  for (const stage of stages) await supervisor.run(stage);
  await untilReady(start, stages.flat(), urlOf);
  supervisor.markReady();
  return {
    ingestUrl: publicUrl(env, urlOf(ports.ingest)),
    queryApiUrl: publicUrl(env, urlOf(ports.queryApi)),
    brokers,
    clickHouse: signInAt(settings, ports),
  };
}

/** With TLS, operations need ports of their own, where `npm start` asks without TLS whether a process is there. */
function requireOwnOperations({ TLS_CERT_FILE }: NodeJS.ProcessEnv, settings: Start['settings']): void {
  const shared = (['INGEST_OPS_PORT', 'QUERY_API_OPS_PORT'] as const).filter(name => settings[name] === 0);
  if (!TLS_CERT_FILE || shared.length === 0) return;
  throw new ConfigError(
    `TLS_CERT_FILE=${TLS_CERT_FILE}: needs ${shared.join(' and ')}, where \`npm start\` asks without TLS whether the processes are there`,
  );
}

function publicUrl({ TLS_CERT_FILE }: NodeJS.ProcessEnv, url: string): string {
  return TLS_CERT_FILE ? url.replace(/^http:/, 'https:') : url;
}

/** Returns the user's own brokers, or starts the embedded one. */
async function brokersFor({ env, settings, supervisor, log, say, stop }: Start, ports: PortPlan): Promise<string> {
  if (ports.kafka === undefined) return settings.KAFKA_BROKERS;
  const java = await findJava(env);
  const jars = await ensureBrokerJars({ onFetch: say, env });
  const timeoutMs = settings.START_TIMEOUT_MS;
  await ensureClassArchive({ java, jars, log, onMake: say, timeoutMs, say, signal: stop });
  say(`starting the Kafka broker on ${brokerHost}:${ports.kafka}`);
  await supervisor.run([brokerChild(settings, ports.kafka, { java, jars }, log, say)]);
  return `${brokerHost}:${ports.kafka}`;
}

/** Returns the user's own server, or starts the embedded one. */
async function clickHouseFor({ settings, supervisor, say }: Start, ports: PortPlan): Promise<ClickHouseEnv> {
  const { CLICKHOUSE_URL, CLICKHOUSE_USER, CLICKHOUSE_PASSWORD, DATA_DIR } = settings;
  if (ports.clickHouse === undefined) return { CLICKHOUSE_URL, CLICKHOUSE_USER, CLICKHOUSE_PASSWORD };
  say(`starting ClickHouse on ${clickHouseHost}:${ports.clickHouse.http}`);
  await supervisor.run([clickHouseChild(settings, ports.clickHouse, say)]);
  return clickHouseEnv(DATA_DIR, ports.clickHouse.http, CLICKHOUSE_PASSWORD);
}

/**
 * A slow server is asked again for `timeoutMs`. A server of the user's own that does not answer is reported at once.
 */
async function createTables({ settings, log, say, stop }: Start, url: ClickHouseEnv, timeoutMs: number): Promise<void> {
  const nodes = nodesOf(topologyOf({ ...settings, ...url })).length;
  if (nodes > 1)
    throw new ConfigError(
      `CLICKHOUSE_URL has ${nodes} nodes, but \`npm start\` works with only one: start the processes as in production (infra/README.md)`,
    );
  say('creating tables');
  await using clickhouse = openClickHouse({ ...settings, ...url }, { readers: 1 });
  try {
    // "creating tables" has already said this on the terminal.
    await askedPatiently('creating tables', { timeoutMs, say, signal: stop }, () =>
      migrate(clickhouse, log.child({}, { level: 'warn' })),
    );
  } catch (error) {
    if (!(error instanceof Retryable)) throw error;
    throw new ConfigError(`CLICKHOUSE_URL=${withoutUserInfo(url.CLICKHOUSE_URL)}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** For people who want to look at the tables themselves. */
function signInAt(
  { DATA_DIR, CLICKHOUSE_URL, CLICKHOUSE_PASSWORD }: Start['settings'],
  { clickHouse }: PortPlan,
): string {
  if (clickHouse === undefined) return withoutUserInfo(CLICKHOUSE_URL);
  const password = CLICKHOUSE_PASSWORD === '' ? `in ${clickHouseFiles(DATA_DIR).password}` : 'CLICKHOUSE_PASSWORD';
  return `http://${clickHouseHost}:${clickHouse.http}/play, native port ${clickHouse.tcp}, user ${clickHouseUser}, password ${password}`;
}

async function createTopics({ settings, log, say, stop }: Start, brokers: string, timeoutMs: number): Promise<void> {
  say('creating topics');
  const kafka = createKafka({ ...settings, KAFKA_BROKERS: brokers }, 'start', log);
  try {
    await askedPatiently('creating topics', { timeoutMs, say, signal: stop }, () =>
      ensureTopics(kafka, names(settings.TOPIC_PREFIX), settings.PARTITIONS),
    );
  } catch (error) {
    if (!(error instanceof Retryable)) throw error;
    throw new ConfigError(`KAFKA_BROKERS=${brokers}: ${messageOf(error)}`, { cause: error });
  }
}

async function untilReady(
  { supervisor, say, stop }: Start,
  services: readonly ServiceSpec[],
  urlOf: (port: number) => string,
) {
  const waiting = new AbortController();
  const signal = AbortSignal.any([waiting.signal, stop]);
  const each = services.map(({ name, opsPort }) => {
    return untilServiceReady(name, urlOf(opsPort), say, signal).then(() => say(`${name} is ready`));
  });
  try {
    await Promise.race([Promise.all(each), supervisor.givenUp, once(stop, 'abort')]);
    stop.throwIfAborted();
  } finally {
    waiting.abort();
    await Promise.allSettled(each);
  }
}

/** Returns the address under which a server that listens on `host` is reachable from this machine. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}
