/**
 * A real ClickHouse for one test file: a server in a container where a Docker daemon has the image at hand, else the
 * embedded engine with a temporary directory, opened by the process under test. Either way it is told by settings.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { GenericContainer, Wait } from 'testcontainers';

export interface TestClickHouse extends AsyncDisposable {
  /** For the process that opens it. */
  readonly env: Readonly<Record<string, string>>;
}

const image = 'clickhouse/clickhouse-server:26.7';
const password = 'test-only';

export async function startTestClickHouse(): Promise<TestClickHouse> {
  const inContainer = await hasImage();
  console.log(`test ClickHouse: ${inContainer ? 'container' : 'embedded engine'}`);
  return inContainer ? startContainer() : temporaryDirectory();
}

function temporaryDirectory(): TestClickHouse {
  const directory = mkdtempSync(join(tmpdir(), 'test-clickhouse-'));
  return {
    env: { DATA_DIR: directory },
    async [Symbol.asyncDispose]() {
      rmSync(directory, { recursive: true, force: true });
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
