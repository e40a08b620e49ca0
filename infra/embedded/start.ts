/** Brings the pipeline up step by step, and says each step. */
import { once } from 'node:events';
import type { KafkaConfig } from '../config.ts';
import { ConfigError, messageOf, Retryable } from '../errors.ts';
import { ensureTopics } from '../kafka/admin.ts';
import { createKafka } from '../kafka/client.ts';
import type { DrainLimits } from '../life.ts';
import type { Logger } from '../log.ts';
import { names } from '../topics.ts';
import { ensureClassArchive } from './broker-classes.ts';
import { ensureBrokerJars } from './broker-jars.ts';
import type { EmbeddedConfig } from './config.ts';
import { requireFreeDisk } from './disk.ts';
import { findJava } from './java.ts';
import { linePrinter } from './line-printer.ts';
import { endOrphanBroker, endOrphans } from './orphans.ts';
import { brokerChild, type ServiceSpec, serviceStages } from './pipeline.ts';
import { brokerHost, type PortPlan, planPorts, type WantedPorts } from './port-plan.ts';
import { untilServiceReady } from './readiness.ts';
import type { Supervisor } from './supervisor.ts';

export interface Start {
  /** For the children. */
  readonly env: NodeJS.ProcessEnv;
  /** What `env` says. DATA_DIR is absolute. */
  readonly settings: EmbeddedConfig & KafkaConfig & WantedPorts & DrainLimits;
  readonly supervisor: Supervisor;
  readonly log: Logger;
  /** Tells the user a step. */
  readonly say: (line: string) => void;
  readonly stop: AbortSignal;
}

export interface Started {
  readonly ingestUrl: string;
  readonly queryApiUrl: string;
  readonly brokers: string;
}

/**
 * Resolves when every process is ready; rejects when `stop` fires first.
 * @throws ConfigError for what the user must mend
 */
export async function startPipeline(start: Start): Promise<Started> {
  const { env, settings, supervisor, log, stop } = start;
  const { DATA_DIR, HOST } = settings;
  await endOrphans(DATA_DIR, settings.DRAIN_DELAY_MS + settings.DRAIN_TIMEOUT_MS, log);
  await endOrphanBroker(DATA_DIR, log);
  const ports = await planPorts(settings, !env['KAFKA_BROKERS']);
  await requireFreeDisk(DATA_DIR, settings.MIN_FREE_DISK_MB);

  const brokers = await brokersFor(start, ports);
  const serviceEnv = { ...env, KAFKA_BROKERS: brokers, LOG_LEVEL: env['LOG_LEVEL'] || 'warn' };
  await createTopics(start, brokers);
  stop.throwIfAborted();
  const urlOf = (port: number) => `http://${reachable(HOST)}:${port}`;
  const stages = serviceStages(DATA_DIR, serviceEnv, ports, urlOf, linePrinter(process.stdout));
  start.say(`starting ${stages.flatMap(stage => stage.map(({ name }) => name)).join(', ')}`);
  for (const stage of stages) await supervisor.run(stage);
  await untilReady(start, stages.flat(), urlOf);
  supervisor.markReady();
  return { ingestUrl: urlOf(ports.ingest), queryApiUrl: urlOf(ports.queryApi), brokers };
}

/** The user's own brokers, or the embedded one, started. */
async function brokersFor({ env, settings, supervisor, log, say, stop }: Start, ports: PortPlan): Promise<string> {
  if (ports.kafka === undefined) return settings.KAFKA_BROKERS;
  const java = await findJava(env);
  const jars = await ensureBrokerJars({ onFetch: say, env });
  await ensureClassArchive({ java, jars, log, onMake: say, signal: stop });
  say(`starting the Kafka broker on ${brokerHost}:${ports.kafka}`);
  await supervisor.run([brokerChild(settings, ports.kafka, { java, jars }, log)]);
  return `${brokerHost}:${ports.kafka}`;
}

async function createTopics({ settings, log, say }: Start, brokers: string): Promise<void> {
  say('creating topics');
  const kafka = createKafka({ ...settings, KAFKA_BROKERS: brokers }, 'start', log);
  try {
    await ensureTopics(kafka, names(settings.TOPIC_PREFIX), settings.PARTITIONS);
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

/** Where to reach a server that listens on `host`, from this machine. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}
