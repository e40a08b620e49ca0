/** A database of its own on a real server of its own, which go together. */
import { type ClickHouse, openClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { ClickHouseConfig, loadConfig } from '../../infra/config.ts';
import { startTestClickHouse } from './clickhouse.ts';

export interface TemporaryClickHouse extends AsyncDisposable {
  readonly clickhouse: ClickHouse;
  readonly config: ClickHouseConfig;
}

export async function openTemporaryClickHouse(env: NodeJS.ProcessEnv = {}): Promise<TemporaryClickHouse> {
  const server = await startTestClickHouse();
  const config = loadConfig(ClickHouseConfig, { ...server.env, ...env });
  const clickhouse = openClickHouse(config, { readers: 2 });
  return {
    clickhouse,
    config,
    async [Symbol.asyncDispose]() {
      await clickhouse[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}
