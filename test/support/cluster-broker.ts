/**
 * One of a cluster's brokers: a JVM with its own directory and ports, broker and controller at once (KRaft). It can be
 * ended in good order, killed, stopped where it stands and woken.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, cpSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type BrokerSettings,
  brokerFiles,
  loggingSettings,
  serverSettings,
  sharedClasses,
  writeSettings,
} from '../../infra/embedded/broker-files.ts';
import { endWithUs } from './ends-with-us.ts';

/**
 * A listener: where the broker listens, and the port it tells others. They differ where a link lies between.
 * A broker dials its peers by its own listener name, so that each pair of brokers has links of its own.
 */
export interface Door {
  readonly name: string;
  readonly behind: number;
  readonly front: number;
}

export interface ClusterBrokerOptions {
  readonly id: number;
  readonly directory: string;
  /** A formatted `log.dirs`, of any node of this cluster. */
  readonly formatted: string;
  readonly doors: readonly Door[];
  /** Of the doors: those among brokers, and those of the controllers, its own first. */
  readonly peerDoor: string;
  readonly controllerDoors: readonly string[];
  readonly voters: string;
  readonly settings: BrokerSettings;
  readonly heapMb: number;
  readonly java: string;
  readonly jars: string;
}

export interface ClusterBroker {
  readonly id: number;
  /** 0: it does not run. */
  readonly pid: number;
  /** Where its log lies, and nothing else. */
  readonly logs: string;
  /** Resolves when the process runs, not when it serves. */
  start(): Promise<void>;
  /** SIGTERM: it hands over what it leads, and ends. */
  stop(timeoutMs?: number): Promise<void>;
  kill(): Promise<void>;
  pause(): void;
  resume(): void;
  /** The end of its own log, for failure messages. */
  lastWords(): string;
}

const host = '127.0.0.1';

export function clusterBroker(options: ClusterBrokerOptions): ClusterBroker {
  const { id, directory, formatted, java, jars, heapMb } = options;
  const files = brokerFiles(directory);
  let child: ChildProcess | undefined;
  let exited: Promise<void> = Promise.resolve();
  const end = async (signal: NodeJS.Signals, timeoutMs: number) => {
    if (child === undefined) return;
    const ending = child;
    ending.kill(signal);
    const force = setTimeout(() => ending.kill('SIGKILL'), timeoutMs);
    await exited;
    clearTimeout(force);
  };
  return {
    id,
    logs: files.logs,
    get pid() {
      return child?.pid ?? 0;
    },
    async start() {
      if (child !== undefined) return;
      if (!existsSync(join(files.logs, 'meta.properties'))) adopt(formatted, files.logs, id);
      writeSettings(files.serverProperties, settingsOf(options, files.logs));
      writeSettings(files.loggingProperties, loggingSettings(files.brokerLog));
      const flags = [
        `-Xmx${heapMb}m`,
        ...['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-XX:+ExitOnOutOfMemoryError', '-Djava.awt.headless=true'],
        ...sharedClasses(jars),
        `-Dlog4j2.configurationFile=${files.loggingProperties}`,
      ];
      const console = openSync(files.console, 'a');
      const started = spawn(java, [...flags, '-cp', join(jars, '*'), 'kafka.Kafka', files.serverProperties], {
        stdio: ['ignore', console, console],
      });
      closeSync(console);
      child = started;
      exited = new Promise(resolve => {
        started.once('exit', () => {
          child = undefined;
          resolve();
        });
      });
      endWithUs(started.pid, exited);
      await new Promise<void>((resolve, reject) => started.once('spawn', resolve).once('error', reject));
    },
    stop: (timeoutMs = 30_000) => end('SIGTERM', timeoutMs),
    kill: () => end('SIGKILL', 0),
    pause: () => void child?.kill('SIGSTOP'),
    resume: () => void child?.kill('SIGCONT'),
    lastWords() {
      const read = (path: string) => (existsSync(path) ? readFileSync(path, 'utf8').slice(-3_000) : '');
      return `--- broker ${id}\n${read(files.brokerLog)}${read(files.console)}`;
    },
  };
}

/** A formatted directory tells node and directory by two lines of text: formatting one costs a JVM's start, a copy nothing. */
function adopt(formatted: string, logs: string, id: number): void {
  // It may be a file system of its own: made before, and empty.
  mkdirSync(logs, { recursive: true });
  cpSync(formatted, logs, { recursive: true });
  const path = join(logs, 'meta.properties');
  const directoryId = crypto.getRandomValues(new Uint8Array(16));
  directoryId[0] = (directoryId[0] ?? 0) & 0x7f;
  const text = readFileSync(path, 'utf8')
    .replace(/^node\.id=.*$/m, `node.id=${id}`)
    .replace(/^directory\.id=.*$/m, `directory.id=${Buffer.from(directoryId).toString('base64url')}`);
  writeFileSync(path, text);
}

function settingsOf(options: ClusterBrokerOptions, logs: string): BrokerSettings {
  const { id, doors, peerDoor, controllerDoors, voters, settings } = options;
  const at = (port: (door: Door) => number) => doors.map(door => `${door.name}://${host}:${port(door)}`).join(',');
  return {
    ...serverSettings({ host, port: 0, controllerPort: 0 }, logs),
    'node.id': id,
    'controller.quorum.voters': voters,
    listeners: at(door => door.behind),
    'advertised.listeners': at(door => door.front),
    'inter.broker.listener.name': peerDoor,
    'controller.listener.names': controllerDoors.join(','),
    'listener.security.protocol.map': doors.map(({ name }) => `${name}:PLAINTEXT`).join(','),

    'default.replication.factor': 3,
    'min.insync.replicas': 2,
    'offsets.topic.replication.factor': 3,
    'transaction.state.log.replication.factor': 3,
    'transaction.state.log.min.isr': 2,
    // What has to move is moved by the tests, at a time they know.
    'auto.leader.rebalance.enable': 'false',

    // Short, that a test need not wait, and in the proportions of Kafka's own: 9 s, 2 s and 30 s.
    'broker.session.timeout.ms': 2_000,
    'broker.heartbeat.interval.ms': 400,
    'replica.lag.time.max.ms': 5_000,
    'replica.socket.timeout.ms': 5_000,
    'controller.socket.timeout.ms': 5_000,
    'controller.quorum.election.timeout.ms': 1_000,
    'controller.quorum.fetch.timeout.ms': 2_000,
    'controller.quorum.request.timeout.ms': 1_500,
    'controlled.shutdown.max.retries': 3,
    'controlled.shutdown.retry.backoff.ms': 500,

    'num.network.threads': 1,
    'num.io.threads': 4,
    'num.replica.fetchers': 1,
    'log.segment.bytes': 32 << 20,
    ...settings,
  };
}
