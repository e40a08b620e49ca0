/**
 * The same rows twice: in one ClickHouse that has all of them, and in several of which each has its part, as sinks of one
 * log would leave them. Of both there is a query API, at a fixed time.
 */
import { pino } from 'pino';
import type { AdMinuteRow } from '../../aggregator/ad-minute.ts';
import { type ShardedTable, shardedTables } from '../../infra/clickhouse/sharded-tables.ts';
import { ClickHouseConfig, loadConfig } from '../../infra/config.ts';
import type { Http } from '../../infra/http.ts';
import { migrate } from '../../infra/migrate.ts';
import { type Click, formatLine } from '../../ingest/click.ts';
import { buildQueryApi } from '../../query-api/app.ts';
import { QueryApiConfig } from '../../query-api/config.ts';
import { shardsOf } from '../../query-api/replicas/open-replicas.ts';
import { type ReplicaWatch, watchReplicas } from '../../query-api/replicas/replica-watch.ts';
import { oneReplica, type Replicas, replicasOf } from '../../query-api/replicas/replicas.ts';
import { type ClickHouseNode, nodeAccess, startClickHouseNode } from './clickhouse-node.ts';
import { logInto, type TestLog } from './log-into.ts';

export const logPartitions = 4;

const noBroker = () => Promise.reject(new Error('there is no broker in this test'));

export interface ShardedClickHouse extends AsyncDisposable {
  readonly whole: ClickHouseNode;
  /** One node of each shard. */
  readonly nodes: readonly [ClickHouseNode, ClickHouseNode];
  readonly replicas: Replicas;
  /** Of the store that is whole, and of the one in shards. */
  readonly apis: { readonly whole: Http; readonly shards: Http };
  /** What jobs and people say goes into all of them. */
  readonly said: TestLog;
  /** Into the whole, and each into the node of its partition. */
  insertRaw(clicks: readonly PlacedClick[]): Promise<void>;
  insertParts(
    table: ShardedTable,
    rows: readonly { readonly partition: number }[],
    columns?: readonly string[],
  ): Promise<void>;
}

export interface PlacedClick extends Click {
  readonly partition: number;
}

/** `now` in epoch ms, for good. */
export async function openShardedClickHouse(now: number): Promise<ShardedClickHouse> {
  const stack = new AsyncDisposableStack();
  const log = pino({ level: process.env['TEST_LOG_LEVEL'] ?? 'silent' });
  const start = async () => {
    const node = stack.use(await startClickHouseNode());
    await migrate(node.clickhouse, log);
    return node;
  };
  const whole = await start();
  const nodes = [await start(), await start()] as const;
  const insert = async (table: string, lines: string | Buffer, columns?: readonly string[]) => {
    await whole.clickhouse.insert(table, lines, columns);
    if (!shardedTables.some(sharded => sharded === table)) {
      for (const { clickhouse } of nodes) await clickhouse.insert(table, lines);
      return;
    }
    const all = String(lines)
      .split('\n')
      .filter(line => line !== '');
    for (const [shard, { clickhouse }] of nodes.entries()) {
      const own = all.filter(line => partitionOf(line) % nodes.length === shard);
      await clickhouse.insert(table, own.join('\n'), columns);
    }
  };
  const said = logInto({ insert });

  const url = nodes.map(({ urlInShards }) => urlInShards).join(';');
  const config = loadConfig(ClickHouseConfig, { ...nodeAccess, CLICKHOUSE_URL: url });
  const watch = (node: ClickHouseNode, shard: number): ReplicaWatch => {
    const { name, clickhouse } = node;
    const { hostname, searchParams } = new URL(node.urlInShards);
    const watched = { name, tcp: `${hostname}:${searchParams.get('tcp')}`, clickhouse, probe: clickhouse };
    return stack.use(
      watchReplicas({
        ...{ nodes: [watched], shard: { shard, of: nodes.length }, maxLagMs: 60_000, now: Date.now, log },
        positions: async () => [
          {
            node: name,
            group: 'g',
            topic: 'clicks',
            topicName: 'clicks',
            partition: shard,
            position: 1,
            from: 0,
            end: 1,
          },
        ],
      }),
    );
  };
  const watches = [watch(nodes[0], 0), watch(nodes[1], 1)] as const;
  const incarnationOf = (name: string) => watches.map(of => of.incarnation(name)).find(found => found !== undefined);
  const replicas = replicasOf(watches, shardsOf(config, incarnationOf));

  const appOf = async (of: Replicas) => {
    const app = await buildQueryApi({
      // One client asks for one export right after another.
      config: loadConfig(QueryApiConfig, { EXPORT_MAX_RUNNING_PER_CLIENT: '4' }),
      ...{ clickhouse: of.clickhouse, replicas: of, log, now: () => now, requests: said.requests },
      erasures: {
        ...{ room: noBroker, begin: noBroker, get: noBroker, nodesOf: noBroker },
        logKeptUntil: async () => new Map(),
      },
      countedLog: {
        endOffsets: async () => new Map(Array.from({ length: logPartitions }, (_, partition) => [partition, 1_000])),
        sinkPositions: async () => [],
      },
    });
    stack.defer(() => app.close());
    return app;
  };
  const apis = { whole: await appOf(oneReplica('whole', whole.clickhouse)), shards: await appOf(replicas) };
  return {
    ...{ whole, nodes, replicas, apis, said },
    async insertRaw(clicks) {
      const lines = (of: readonly Click[]) => of.map(formatLine).join('\n');
      await whole.clickhouse.insert('click_raw', lines(clicks));
      for (const [shard, { clickhouse }] of nodes.entries())
        await clickhouse.insert(
          'click_raw',
          lines(clicks.filter(({ partition }) => partition % nodes.length === shard)),
        );
    },
    insertParts: (table, rows, columns) => insert(table, rows.map(row => JSON.stringify(row)).join('\n'), columns),
    [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose](),
  };
}

function partitionOf(line: string): number {
  const row: AdMinuteRow | readonly unknown[] = JSON.parse(line);
  return Number('partition' in row ? row.partition : row[3]);
}
