/**
 * A real Kafka broker for one test file, on free ports, with its data in a temporary directory: a container where a
 * Docker daemon has the image at hand, else the embedded broker. It can be stopped and started again with its data, and
 * killed if it has a process of its own.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Broker, startBroker } from '../../infra/embedded/broker.ts';
import { ensureClassArchive } from '../../infra/embedded/broker-classes.ts';
import { type BrokerSettings, brokerFiles, serverSettings, writeSettings } from '../../infra/embedded/broker-files.ts';
import { ensureBrokerJars } from '../../infra/embedded/broker-jars.ts';
import { findJava } from '../../infra/embedded/java.ts';
import { createLog } from '../../infra/log.ts';
import { hasKafkaImage, startBrokerContainer } from './broker-container.ts';
import { endWithUs } from './ends-with-us.ts';
import { copyFormattedStorage } from './formatted-storage.ts';
import { type SharedBroker, sharedJvm } from './many-brokers.ts';
import { quietPort } from './quiet-port.ts';

/** Disposing of it ends the broker and removes its data. */
export interface TestBroker extends AsyncDisposable {
  /** `host:port`, the same after a restart. */
  readonly brokers: string;
  readonly host: string;
  readonly port: number;
  /** 0 where it is not a process of this machine, or shares one. */
  readonly pid: number;
  /** Ends it in good order; the data stays. */
  stop(): Promise<void>;
  /** SIGKILL; the data stays. @throws Error if it has no process of its own */
  kill(): Promise<void>;
  /** Starts it again, on the same port and data; one that still runs is stopped first. */
  restart(): Promise<void>;
}

const host = '127.0.0.1';

export interface TestBrokerOptions {
  /** A process of its own, which can be killed. Otherwise it shares one with the brokers of other files (many-brokers.ts). */
  readonly ownProcess?: boolean;
}

/** `more` are settings beside ours, as a benchmark's peers want them. */
export async function startTestBroker(more: BrokerSettings = {}, options: TestBrokerOptions = {}): Promise<TestBroker> {
  const port = await quietPort();
  const inContainer = await hasKafkaImage();
  const startShared = options.ownProcess ? undefined : sharedJvm();
  const kind = inContainer ? 'container' : startShared === undefined ? 'embedded' : 'in the JVM of all';
  console.log(`test broker: ${kind} on ${host}:${port}`);
  if (inContainer) return startBrokerContainer(host, port, more);
  return startShared === undefined ? startEmbedded(port, more) : startInShared(startShared, port, more);
}

async function startInShared(
  startShared: NonNullable<ReturnType<typeof sharedJvm>>,
  port: number,
  more: BrokerSettings,
): Promise<TestBroker> {
  const dataDir = mkdtempSync(join(tmpdir(), 'test-broker-'));
  const files = brokerFiles(dataDir);
  await copyFormattedStorage(dataDir, await ensureBrokerJars({ onFetch: console.log }));
  const start = async () => {
    const ours = serverSettings({ host, port, controllerPort: await quietPort() }, files.logs);
    writeSettings(files.serverProperties, { ...ours, ...more });
    return await startShared(files.serverProperties);
  };
  let broker: SharedBroker | undefined = await start();
  const stop = async () => {
    await broker?.stop();
    broker = undefined;
  };
  return {
    brokers: `${host}:${port}`,
    host,
    port,
    pid: 0,
    stop,
    kill: () => Promise.reject(new Error('a broker that is killed is started with { ownProcess: true }')),
    async restart() {
      await stop();
      broker = await start();
    },
    async [Symbol.asyncDispose]() {
      // Only when it has ended: a broker that misses its directory takes the JVM with it.
      await stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

async function startEmbedded(port: number, more: BrokerSettings): Promise<TestBroker> {
  const dataDir = mkdtempSync(join(tmpdir(), 'test-broker-'));
  const java = await findJava();
  const jars = await ensureBrokerJars({ onFetch: console.log });
  const log = createLog('broker', 'warn');
  await ensureClassArchive({ java, jars, log, onMake: console.log });
  await copyFormattedStorage(dataDir, jars);
  const settings = (ours: BrokerSettings) => ({ ...ours, ...more });
  const start = async () => {
    const started = await startBroker({ dataDir, host, port, heapMb: 256, jars, java, log, settings });
    endWithUs(started.pid, started.exited);
    return started;
  };

  let broker: Broker | undefined = await start();
  const stop = async () => {
    await broker?.stop(6_000);
    broker = undefined;
  };
  return {
    brokers: `${host}:${port}`,
    host,
    port,
    get pid() {
      return broker?.pid ?? 0;
    },
    stop,
    async kill() {
      if (broker === undefined) return;
      process.kill(broker.pid, 'SIGKILL');
      await broker.exited;
      broker = undefined;
    },
    async restart() {
      await stop();
      broker = await start();
    },
    async [Symbol.asyncDispose]() {
      await stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
