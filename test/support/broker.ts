/**
 * A real Kafka broker for one test file, on free ports, with its data in a temporary directory: a container where a
 * Docker daemon has the image at hand, else the embedded broker. It can be killed and started again with its data.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Broker, startBroker } from '../../infra/embedded/broker.ts';
import { ensureClassArchive } from '../../infra/embedded/broker-classes.ts';
import type { BrokerSettings } from '../../infra/embedded/broker-files.ts';
import { ensureBrokerJars } from '../../infra/embedded/broker-jars.ts';
import { findJava } from '../../infra/embedded/java.ts';
import { freePort } from '../../infra/embedded/ports.ts';
import { createLog } from '../../infra/log.ts';
import { hasKafkaImage, startBrokerContainer } from './broker-container.ts';
import { copyFormattedStorage } from './formatted-storage.ts';

/** Disposing of it ends the broker and removes its data. */
export interface TestBroker extends AsyncDisposable {
  /** `host:port`, the same after a restart. */
  readonly brokers: string;
  readonly host: string;
  readonly port: number;
  /** 0 where it is not a process of this machine. */
  readonly pid: number;
  /** Ends it in good order; the data stays. */
  stop(): Promise<void>;
  /** SIGKILL; the data stays. */
  kill(): Promise<void>;
  /** Starts it again, on the same port and data; one that still runs is stopped first. */
  restart(): Promise<void>;
}

const host = '127.0.0.1';

/** `more` are settings beside ours, as a benchmark's peers want them. */
export async function startTestBroker(more: BrokerSettings = {}): Promise<TestBroker> {
  const port = await freePort();
  const inContainer = await hasKafkaImage();
  console.log(`test broker: ${inContainer ? 'container' : 'embedded'} on ${host}:${port}`);
  return inContainer ? startBrokerContainer(host, port, more) : startEmbedded(port, more);
}

async function startEmbedded(port: number, more: BrokerSettings): Promise<TestBroker> {
  const dataDir = mkdtempSync(join(tmpdir(), 'test-broker-'));
  const java = await findJava();
  const jars = await ensureBrokerJars({ onFetch: console.log });
  const log = createLog('broker', 'warn');
  await ensureClassArchive({ java, jars, log, onMake: console.log });
  await copyFormattedStorage(dataDir, { java, jars });
  const settings = (ours: BrokerSettings) => ({ ...ours, ...more });
  const start = () => startBroker({ dataDir, host, port, heapMb: 256, jars, java, log, settings });

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
