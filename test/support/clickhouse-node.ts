/** An embedded ClickHouse server that can be killed, lose its directory, and come back on the same port. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClickHouse, openClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { ClickHouseConfig, loadConfig } from '../../infra/config.ts';
import { type ClickHouseServer, startClickHouse } from '../../infra/embedded/clickhouse.ts';
import { inMemory } from './clickhouse.ts';
import { quietPort } from './quiet-port.ts';

export interface ClickHouseNode extends AsyncDisposable {
  /** `host:port`, as topologies name it. */
  readonly name: string;
  readonly url: string;
  /** As it stands in a topology of several shards, whose nodes read each other. */
  readonly urlInShards: string;
  readonly clickhouse: ClickHouse;
  signal(name: NodeJS.Signals): void;
  /** Resident memory, MB; 0: it does not run. */
  residentMb(): number;
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

export interface NodeOptions {
  /** Left out: a temporary one. */
  readonly dataDir?: string;
  readonly memoryMb?: number;
  /** Left out: free ones. Whoever kills it again and again takes ports that no outgoing connection is given meanwhile. */
  readonly ports?: readonly [http: number, tcp: number];
}

export async function startClickHouseNode(options: NodeOptions = {}): Promise<ClickHouseNode> {
  const { dataDir = mkdtempSync(join(tmpdir(), 'test-node-')), memoryMb = 2_048 } = options;
  const [httpPort, tcpPort] = options.ports ?? [await quietPort(), await quietPort()];
  const launch = () =>
    startClickHouse({
      ...{ dataDir, httpPort, tcpPort, memoryMb, ofStatements: inMemory },
      password: nodeAccess.CLICKHOUSE_PASSWORD,
    });
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
    // What is in it: it may be where a disk of its own is mounted.
    for (const name of readdirSync(dataDir)) rmSync(join(dataDir, name), { recursive: true });
  };
  return {
    name: new URL(url).host,
    url,
    urlInShards: `${url}?tcp=${tcpPort}`,
    clickhouse,
    dataDir,
    signal: name => void (server && process.kill(server.pid, name)),
    residentMb() {
      if (server === undefined) return 0;
      const kb = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1];
      return Math.round(Number(kb ?? 0) / 1_024);
    },
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
      if (options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
