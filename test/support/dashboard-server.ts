/** The query API with its dashboard, over a ClickHouse of its own that has the tables and nothing in them yet. */
import { pino } from 'pino';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { loadConfig } from '../../infra/config.ts';
import { listen } from '../../infra/http.ts';
import { migrate } from '../../infra/migrate.ts';
import { buildQueryApi, type QueryApiDeps } from '../../query-api/app.ts';
import { QueryApiConfig } from '../../query-api/config.ts';
import { type ClickHouseNode, startClickHouseNode } from './clickhouse-node.ts';
import { partitions, progressRows } from './dashboard-data.ts';
import { logInto } from './log-into.ts';

type Query = Readonly<Record<string, string | number | undefined>>;

export interface DashboardServer extends AsyncDisposable {
  readonly url: string;
  readonly clickhouse: ClickHouse;
  /** To the server of the store. */
  readonly signal: ClickHouseNode['signal'];
  insert(table: string, rows: readonly object[]): Promise<void>;
  get<T>(path: string, query?: Query): Promise<T>;
  /** From now on partitions are counted, as ticks make it; each second. */
  startCounting(): void;
  /** As if the aggregator had stopped `agoMs` ago. */
  stopCounting(agoMs: number): Promise<void>;
}

export async function startDashboard(
  env: NodeJS.ProcessEnv = {},
  deps: Partial<Pick<QueryApiDeps, 'keys' | 'appendKeyChange'>> = {},
  port = 0,
): Promise<DashboardServer> {
  await using stack = new AsyncDisposableStack();
  const store = stack.use(await startClickHouseNode());
  const { clickhouse } = store;
  const log = pino({ level: 'silent' });
  await migrate(clickhouse, log);
  const offsets = (more: number) => new Map(Array.from({ length: partitions }, (_, p) => [p, 100_000 + more]));
  const countedLog = {
    endOffsets: async () => offsets(12),
    rawPositions: async () => offsets(1_000),
    sinkPositions: async () => [],
  };
  const config = loadConfig(QueryApiConfig, env);
  const http = await buildQueryApi({
    config,
    clickhouse,
    log,
    now: Date.now,
    countedLog,
    ...logInto(clickhouse),
    ...deps,
  });
  stack.defer(() => http.close());
  const url = await listen(http, '127.0.0.1', port);
  const insert = async (table: string, rows: readonly object[]) =>
    await clickhouse.insert(table, rows.map(row => JSON.stringify(row)).join('\n'));

  let timer: NodeJS.Timeout | undefined;
  let position = 0;
  const say = (now: number) => {
    position += 1;
    const rows = progressRows({ counted: 4_000 + position, duplicates: 40, now });
    return insert(
      'partition_progress',
      rows.map(row => ({ ...row, position: row.position + position })),
    );
  };
  stack.defer(() => clearInterval(timer));
  const held = stack.move();
  return {
    url,
    clickhouse,
    insert,
    signal: store.signal,
    async get<T>(path: string, query: Query = {}): Promise<T> {
      const given = new URLSearchParams();
      for (const [key, value] of Object.entries(query)) if (value !== undefined) given.set(key, `${value}`);
      const response = await fetch(`${url}${path}?${given}`);
      const body = await response.json();
      if (!response.ok) throw new Error(`${path}: ${JSON.stringify(body)}`);
      return body as T;
    },
    startCounting() {
      timer ??= setInterval(() => void say(Date.now()).catch(() => undefined), 1_000);
    },
    async stopCounting(agoMs) {
      clearInterval(timer);
      timer = undefined;
      await say(Date.now() - agoMs);
    },
    [Symbol.asyncDispose]: () => held[Symbol.asyncDispose](),
  };
}
