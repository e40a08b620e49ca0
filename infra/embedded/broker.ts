/**
 * Runs the embedded broker: Apache Kafka as published, one KRaft node in a JVM of its own, with all its files under
 * `<DATA_DIR>/kafka/`. Whenever it or its starter was killed, the next start needs no manual step: storage is formatted
 * aside and renamed, and a broker that outlived its starter is ended before the new one opens its files.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KafkaConfig, loadConfig } from '../config.ts';
import { createKafka } from '../kafka/client.ts';
import type { Logger } from '../log.ts';
import {
  type BrokerFiles,
  type BrokerSettings,
  brokerFiles,
  loggingSettings,
  serverSettings,
  sharedClasses,
  writeSettings,
} from './broker-files.ts';
import { formatOnce } from './broker-storage.ts';
import { endOrphanBroker } from './orphans.ts';
import { answers, requireFreePort, withFreePort } from './ports.ts';
import { type Exit, type Running, stopProcess } from './service.ts';
import { type StartLimits, untilStarted } from './start-wait.ts';

/** `signal` cancels the start: the broker is ended, and the promise rejects. */
export interface BrokerOptions extends StartLimits {
  readonly dataDir: string;
  readonly host: string;
  readonly port: number;
  readonly heapMb: number;
  /** The directory that holds Kafka's jars. */
  readonly jars: string;
  /** The java program. */
  readonly java: string;
  readonly log: Logger;
  readonly jvmFlags?: readonly string[];
  /** Returns the broker's settings, from the default ones. */
  readonly settings?: (ours: BrokerSettings) => BrokerSettings;
}

/** Ending it by force loses no acknowledged record, because the operating system has them all. */
export interface Broker extends Running, AsyncDisposable {
  readonly brokers: string;
}

const stopTimeoutMs = 6_000;

/**
 * Resolves when the broker answers a metadata request. @throws ConfigError when its port is taken; Error with the
 * broker's own last output when it does not start
 */
export function startBroker(options: BrokerOptions): Promise<Broker> {
  return withFreePort(controllerPort => startWith(controllerPort, options));
}

async function startWith(controllerPort: number, options: BrokerOptions): Promise<Broker> {
  const { dataDir, host, port, log } = options;
  const files = brokerFiles(dataDir);
  await endOrphanBroker(dataDir, log);
  // Another broker on this port would answer instead of this one, which could then not open it.
  await requireFreePort(host, port, 'KAFKA_PORT');
  await formatOnce(options, files);
  const ours: BrokerSettings = serverSettings({ host, port, controllerPort }, files.logs);
  writeSettings(files.serverProperties, options.settings?.(ours) ?? ours);
  writeSettings(files.loggingProperties, loggingSettings(files.brokerLog));

  const child = await spawnBroker(options, files);
  const broker = runningBroker(child, `${host}:${port}`, files);
  const failed = broker.exited.then(() => {
    throw startFailure(files);
  });
  try {
    await Promise.race([untilReady(options, broker.pid, files), failed]);
  } catch (error) {
    failed.catch(() => undefined);
    await broker.stop(stopTimeoutMs);
    throw error;
  }
  failed.catch(() => undefined);
  return broker;
}

/**
 * The heap grows when it must, up to its limit, and memory that was touched once stays resident. By default Java begins
 * with a 64th of the machine's memory, and lets new objects fill most of that before it collects. With these flags, and
 * with fewer arenas, an idle broker has 236 MB instead of 325. (The serial collector is as good as the default one
 * here: test/bench/RESULTS.md.)
 */
function heapOf(mostMb: number): string[] {
  const newMb = Math.max(32, Math.floor(mostMb / 16));
  return [`-Xmx${mostMb}m`, `-Xms${2 * newMb}m`, `-Xmn${newMb}m`, '-XX:+UseSerialGC', '-XX:-UsePerfData'];
}

/**
 * The C library gives each of a broker's 90 threads memory of its own to allocate from, in up to eight arenas per core.
 * Most of it is unused.
 */
const fewArenas = { MALLOC_ARENA_MAX: '2' };

async function spawnBroker(options: BrokerOptions, files: BrokerFiles): Promise<ChildProcess> {
  const { java, jars, heapMb, jvmFlags = sharedClasses(jars) } = options;
  const console = openSync(files.console, 'w');
  const flags = [...heapOf(heapMb), '-XX:+ExitOnOutOfMemoryError', '-Djava.awt.headless=true'];
  const logging = `-Dlog4j2.configurationFile=${files.loggingProperties}`;
  const program = ['-cp', join(jars, '*'), 'kafka.Kafka', files.serverProperties];
  // It is detached, in a process group of its own, so that Ctrl-C in a terminal does not reach it. It must outlive the
  // draining of the services.
  const child = spawn(java, [...flags, ...jvmFlags, logging, ...program], {
    env: { ...process.env, ...fewArenas },
    detached: true,
    stdio: ['ignore', console, console],
  });
  closeSync(console);
  if (child.pid !== undefined) writeFileSync(files.pid, `${child.pid}`);
  await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject));
  return child;
}

function runningBroker(child: ChildProcess, brokers: string, files: BrokerFiles): Broker {
  const pid = child.pid ?? 0;
  const exited = new Promise<Exit>(resolve => {
    child.once('exit', (code, signal) => {
      rmSync(files.pid, { force: true });
      resolve({ code, signal });
    });
  });
  const stop = (timeoutMs: number) => stopProcess(child, exited, timeoutMs);
  return { brokers, pid, exited, stop, [Symbol.asyncDispose]: () => stop(stopTimeoutMs) };
}

async function untilReady(options: BrokerOptions, pid: number, { brokerLog, console }: BrokerFiles): Promise<void> {
  const { host, port, log, timeoutMs, say, signal } = options;
  const config = loadConfig(KafkaConfig, { KAFKA_BROKERS: `${host}:${port}` });
  const quiet = log.child({}, { level: 'silent' });
  await untilStarted({
    ...{ name: 'the Kafka broker', pid, logs: [brokerLog, console], timeoutMs, say, signal },
    isReady: async () => (await answers(host, port)) && (await servesMetadata(createKafka(config, 'readiness', quiet))),
  });
}

async function servesMetadata(kafka: ReturnType<typeof createKafka>): Promise<boolean> {
  const admin = kafka.admin({ retry: { retries: 0 } });
  try {
    await admin.connect();
    return (await admin.describeCluster()).brokers.length > 0;
  } catch {
    return false;
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}

function startFailure(files: BrokerFiles): Error {
  const read = (path: string) => (existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n') : []);
  const lines = [...read(files.brokerLog).slice(-200), ...read(files.console)];
  const reason = lines.findLast(line => /ERROR|FATAL|Error|Exception/.test(line)) ?? lines.at(-1) ?? 'no output';
  return new Error(`the embedded broker ended while starting: ${reason.trim()} (see ${files.brokerLog})`);
}
