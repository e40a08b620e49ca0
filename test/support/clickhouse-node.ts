/** An embedded ClickHouse server that can be killed, lose its directory, and come back on the same port. */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClickHouse, openClickHouse } from '../../infra/clickhouse.ts';
import { ClickHouseConfig, loadConfig } from '../../infra/config.ts';
import { type ClickHouseServer, startClickHouse } from '../../infra/embedded/clickhouse.ts';
import { freePort } from '../../infra/embedded/ports.ts';

export interface ClickHouseNode extends AsyncDisposable {
  /** `host:port`, as topologies name it. */
  readonly name: string;
  readonly url: string;
  /** As it stands in a topology of several shards, whose nodes read each other. */
  readonly urlInShards: string;
  readonly clickhouse: ClickHouse;
  signal(name: NodeJS.Signals): void;
  /** SIGKILL, and waits for the end. */
  kill(): Promise<void>;
  readonly dataDir: string;
  /** Only while it does not run. */
  removeDirectory(): void;
  /** Only while neither runs. */
  copyDirectoryOf(other: ClickHouseNode): void;
  start(): Promise<void>;
}

export const nodeAccess = { CLICKHOUSE_USER: 'adclicks', CLICKHOUSE_PASSWORD: 'test-only' };

export async function startClickHouseNode(): Promise<ClickHouseNode> {
  const dataDir = mkdtempSync(join(tmpdir(), 'test-node-'));
  const [httpPort, tcpPort] = [await freePort(), await freePort()];
  const launch = () =>
    startClickHouse({ dataDir, httpPort, tcpPort, memoryMb: 2_048, password: nodeAccess.CLICKHOUSE_PASSWORD });
  let server: ClickHouseServer | undefined = await launch();
  const url = server.env.CLICKHOUSE_URL;
  const clickhouse = openClickHouse(loadConfig(ClickHouseConfig, { ...nodeAccess, CLICKHOUSE_URL: url }), {
    readers: 2,
  });
  const kill = async () => {
    if (server === undefined) return;
    process.kill(server.pid, 'SIGKILL');
    await server.exited;
    server = undefined;
  };
  const removeDirectory = () => {
    if (server !== undefined) throw new Error('it runs');
    rmSync(dataDir, { recursive: true });
    mkdirSync(dataDir);
  };
  return {
    name: new URL(url).host,
    url,
    urlInShards: `${url}?tcp=${tcpPort}`,
    clickhouse,
    dataDir,
    signal: name => void (server && process.kill(server.pid, name)),
    kill,
    removeDirectory,
    copyDirectoryOf(other) {
      removeDirectory();
      cpSync(join(other.dataDir, 'clickhouse'), join(dataDir, 'clickhouse'), { recursive: true });
    },
    async start() {
      server = await launch();
    },
    async [Symbol.asyncDispose]() {
      await clickhouse[Symbol.asyncDispose]();
      await kill();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
