/**
 * A real ClickHouse server for one test file: in a container where a Docker daemon has the image at hand, else the one
 * that `npm start` brings, with a temporary directory. Either way it is told by settings.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { GenericContainer, Wait } from 'testcontainers';
import { openClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { ClickHouseConfig, loadConfig } from '../../infra/config.ts';
import { startClickHouse } from '../../infra/embedded/clickhouse.ts';
import { createLog } from '../../infra/log.ts';
import { migrate } from '../../infra/migrate.ts';
import { quietPort } from './quiet-port.ts';

export interface TestClickHouse extends AsyncDisposable {
  /** For the processes that use it. */
  readonly env: Readonly<Record<string, string>>;
  /** 0: in a container. */
  readonly pid: number;
}

const image = 'clickhouse/clickhouse-server:26.7';
const password = 'test-only';

/**
 * Of statements of a server whose files are in memory (memory-scratch.ts). By default it asks for what can be read without
 * waiting, which such files refuse, and then hands each read to another thread: a tenth of its CPU time.
 */
export const inMemory = { local_filesystem_read_method: 'pread' };

export async function startTestClickHouse(): Promise<TestClickHouse> {
  const inContainer = await hasImage();
  console.log(`test ClickHouse: ${inContainer ? 'container' : 'embedded server'}`);
  return inContainer ? await startContainer() : await startEmbedded();
}

/** As before a release starts. `env`: also of a container, or of a server of one's own. */
export async function createTables(env: NodeJS.ProcessEnv): Promise<void> {
  await using clickhouse = openClickHouse(loadConfig(ClickHouseConfig, env), { readers: 1 });
  await migrate(clickhouse, createLog('test', 'error'));
}

async function startEmbedded(): Promise<TestClickHouse> {
  const dataDir = mkdtempSync(join(tmpdir(), 'test-clickhouse-'));
  const server = await startClickHouse({
    ...{ dataDir, memoryMb: 4_096, ofStatements: inMemory },
    httpPort: await quietPort(),
    tcpPort: await quietPort(),
  });
  return {
    env: { ...server.env },
    pid: server.pid,
    async [Symbol.asyncDispose]() {
      // Nothing of it is read again: no reason to wait for a good end.
      process.kill(server.pid, 'SIGKILL');
      await server.exited;
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

async function startContainer(): Promise<TestClickHouse> {
  const container = await new GenericContainer(image)
    .withEnvironment({ CLICKHOUSE_PASSWORD: password })
    .withExposedPorts(8123)
    .withWaitStrategy(Wait.forHttp('/ping', 8123))
    .start();
  return {
    env: {
      CLICKHOUSE_URL: `http://${container.getHost()}:${container.getMappedPort(8123)}`,
      CLICKHOUSE_PASSWORD: password,
    },
    pid: 0,
    async [Symbol.asyncDispose]() {
      await container.stop({ timeout: 0 });
    },
  };
}

/** A test run downloads no image. */
async function hasImage(): Promise<boolean> {
  try {
    await promisify(execFile)('docker', ['image', 'inspect', image], { timeout: 5_000 });
    return true;
  } catch {
    return false;
  }
}
