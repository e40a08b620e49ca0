/** A real engine in a directory of its own, which goes with it. The engine allows one directory per process: one per test file. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClickHouse, openClickHouse } from '../../infra/clickhouse.ts';
import { ClickHouseConfig, loadConfig } from '../../infra/config.ts';

export interface TemporaryEngine extends AsyncDisposable {
  readonly clickhouse: ClickHouse;
  readonly config: ClickHouseConfig;
}

export async function openTemporaryEngine(env: NodeJS.ProcessEnv = {}): Promise<TemporaryEngine> {
  const directory = mkdtempSync(join(tmpdir(), 'adclicks-'));
  const config = loadConfig(ClickHouseConfig, { DATA_DIR: directory, ...env });
  const clickhouse = await openClickHouse(config, { readers: 2 });
  return {
    clickhouse,
    config,
    async [Symbol.asyncDispose]() {
      await clickhouse[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
