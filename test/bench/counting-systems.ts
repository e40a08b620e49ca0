/**
 * Two systems that read the same topic and fill the same kind of ClickHouse server with raw clicks and counts per minute,
 * ad and country, each on an empty server: ClickHouse's own `Kafka` engine with materialized views, and ours. Both can be
 * killed (`kill -9` of all that is theirs at once, the broker not) and started again on their data.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { ClickHouseConfig, loadConfig } from '../../infra/config.ts';
import { type ClickHouseServer, startClickHouse } from '../../infra/embedded/clickhouse.ts';
import type { ServerSettings } from '../../infra/embedded/clickhouse-files.ts';
import { ensureTopics } from '../../infra/kafka/admin.ts';
import { createTables } from '../support/clickhouse.ts';
import { quietPort } from '../support/quiet-port.ts';
import { startService } from '../support/service.ts';
import { type Backlog, caughtUp, forgetGroup } from './backlog.ts';
import { engineCellsSql, type Ids, kafkaEngineTables } from './kafka-engine-tables.ts';
import { costOf } from './process-cost.ts';
import type { Workload } from './workload.ts';

export interface CountingSystem extends AsyncDisposable {
  /** Resolves when it has committed all of the topic. */
  caughtUp(): Promise<void>;
  /** Raw clicks that a query would find; undefined while it is down. */
  rawRows(): Promise<number | undefined>;
  /** What has been inserted into raw and counts, as something that differs after each insert; undefined while it is down. */
  inserts(): Promise<string | undefined>;
  killAndStart(): Promise<void>;
  /** CPU seconds of what runs, by part. */
  cpu(): Readonly<Record<string, number>>;
  /** The server's, to see when it has come to rest. */
  serverPid(): number;
  stored(): Promise<Stored>;
}

export interface Stored {
  readonly raw: number;
  readonly distinctRaw: number;
  /** By `ad_id|epoch minute`, as the usual query would tell it. */
  readonly counts: ReadonlyMap<string, number>;
  /** The same by the sets of ids, where there are some. */
  readonly distinct: ReadonlyMap<string, number>;
  readonly bytesPerRaw: number;
  readonly bytesPerCount: number;
}

const limitMs = 600_000;
const memoryMb = 8_192;
/**
 * A consumer that was killed holds its partitions for so long; librdkafka's own 45 s would only make the wait longer.
 * It is that of our aggregator; that of the sink, 30 s, is made the same.
 */
const sessionMs = 6_000;

export interface EngineSettings {
  readonly ids: Ids;
  readonly consumers: number;
  readonly blockRows: number;
}

export async function startKafkaEngine(backlog: Backlog, settings: EngineSettings): Promise<CountingSystem> {
  const { brokers, names } = backlog;
  const group = `kafka-engine-${Date.now()}`;
  const server = await openServer({
    kafka: { auto_offset_reset: 'earliest', session_timeout_ms: sessionMs },
    // A server's default; `clickhouse local`, which ours is, has none.
    background_message_broker_schedule_pool_size: 16,
  });
  for (const statement of kafkaEngineTables({ brokers, topic: names.topic('clicks'), group, ...settings }))
    await server.clickhouse.command(statement);
  const logs = () => 'see system.kafka_consumers';
  return {
    caughtUp: () => caughtUp(backlog, group, [names.topic('clicks')], { service: { logs }, limitMs }),
    rawRows: () => server.countOf('engine_raw'),
    inserts: () => server.insertsOf(['engine_raw', 'engine_ad_minute']),
    async killAndStart() {
      await server.kill();
      await server.start();
    },
    cpu: () => ({ server: costOf(server.pid()).cpuSeconds }),
    serverPid: server.pid,
    async stored() {
      const refused = await server.countOf('engine_refused');
      if (refused !== 0) throw new Error(`the Kafka engine refused ${refused} messages`);
      const cells = await server.clickhouse.query<{ cell: string; count: number; distinct: number }>(
        engineCellsSql(settings.ids),
      );
      return {
        ...(await server.rawOf('engine_raw', '')),
        ...(await server.bytesOf(['engine_raw'], ['engine_ad_minute'])),
        counts: new Map(cells.map(({ cell, count }) => [cell, count])),
        distinct: new Map(cells.map(({ cell, distinct }) => [cell, distinct])),
      };
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

export async function startOurs(backlog: Backlog, { partitions }: Workload): Promise<CountingSystem> {
  const { names, kafka } = backlog;
  for (const group of [names.aggregatorGroup, names.rawSinkGroup, names.aggregateSinkGroup])
    await forgetGroup(backlog, group);
  // The rows of an earlier run would be inserted once more.
  const outputs = [names.topic('aggregates'), names.topic('quarantine')];
  const topics = kafka.admin();
  await topics.connect();
  await topics.deleteTopics({ topics: outputs });
  await topics.disconnect();
  await ensureTopics(kafka, names, partitions);
  const server = await openServer();
  await createTables({ ...server.env });
  const env = { ...backlog.env, ...server.env, LOG_LEVEL: 'warn', SINK_SESSION_TIMEOUT_MS: String(sessionMs) };
  const start = () =>
    Promise.all([
      startService('aggregator/main.ts', 'AGGREGATOR_PORT', env),
      startService('aggregator/sink/main.ts', 'SINK_PORT', env),
    ]);
  let services = await start();
  return {
    async caughtUp() {
      const [aggregator, sink] = services;
      const raw = caughtUp(backlog, names.rawSinkGroup, [names.topic('clicks')], { service: sink, limitMs });
      await caughtUp(backlog, names.aggregatorGroup, [names.topic('clicks')], { service: aggregator, limitMs });
      await Promise.all([raw, caughtUp(backlog, names.aggregateSinkGroup, outputs, { service: sink, limitMs })]);
    },
    rawRows: () => server.countOf('click_raw'),
    inserts: () => server.insertsOf(['click_raw', 'ad_minute', 'ad_minute_by_ad']),
    async killAndStart() {
      await Promise.all([server.kill(), ...services.map(service => service.kill())]);
      await server.start();
      services = await start();
    },
    cpu: () => ({
      server: costOf(server.pid()).cpuSeconds,
      aggregator: costOf(services[0].pid).cpuSeconds,
      sink: costOf(services[1].pid).cpuSeconds,
    }),
    serverPid: server.pid,
    async stored() {
      const cells = await server.clickhouse.query<{ cell: string; count: number }>(
        `SELECT concat(ad_id, '|', toString(intDiv(toUnixTimestamp(minute), 60))) AS cell, sum(clicks) AS count
         FROM ad_minute FINAL GROUP BY ad_id, minute`,
      );
      const counts = new Map(cells.map(({ cell, count }) => [cell, count]));
      return {
        ...(await server.rawOf('click_raw', 'FINAL')),
        ...(await server.bytesOf(['click_raw'], ['ad_minute', 'ad_minute_by_ad'])),
        counts,
        distinct: counts,
      };
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(services.map(service => service.kill()));
      await server[Symbol.asyncDispose]();
    },
  };
}

async function openServer(more: ServerSettings = {}) {
  const dataDir = mkdtempSync(join(tmpdir(), 'bench-kafka-engine-'));
  const ports = { httpPort: await quietPort(), tcpPort: await quietPort() };
  const run = () => startClickHouse({ dataDir, memoryMb, ...ports, settings: ours => ({ ...ours, ...more }) });
  let server: ClickHouseServer = await run();
  const clickhouse = openClickHouse(loadConfig(ClickHouseConfig, { ...server.env }), { readers: 2 });
  const kill = async () => {
    process.kill(server.pid, 'SIGKILL');
    await server.exited;
  };
  return {
    clickhouse,
    env: server.env,
    pid: () => server.pid,
    kill,
    async start() {
      server = await run();
    },
    async countOf(table: string): Promise<number | undefined> {
      const rows = await clickhouse.query<{ n: number }>(`SELECT count() AS n FROM ${table}`).catch(() => []);
      return rows[0]?.n;
    },
    /** Block numbers grow with inserts, and not with merges. */
    async insertsOf(tables: readonly string[]): Promise<string | undefined> {
      const blocks = await clickhouse
        .query(
          `SELECT table, partition, max(max_block_number) AS last FROM system.parts
           WHERE database = currentDatabase() AND table IN (${tables.map(table => `'${table}'`).join(', ')})
           GROUP BY table, partition ORDER BY table, partition`,
        )
        .catch(() => undefined);
      return blocks && JSON.stringify(blocks);
    },
    async rawOf(table: string, final: '' | 'FINAL') {
      const [row] = await clickhouse.query<{ raw: number; distinctRaw: number }>(
        `SELECT count() AS raw, uniqExact(click_id) AS distinctRaw FROM ${table} ${final}`,
      );
      return row!;
    },
    async bytesOf(raw: readonly string[], counts: readonly string[]) {
      const perRow = async (tables: readonly string[]) => {
        const list = tables.map(table => `'${table}'`).join(', ');
        const [row] = await clickhouse.query<{ bytes: number; rows: number }>(
          `SELECT sum(bytes_on_disk) AS bytes, sum(rows) / ${tables.length} AS rows FROM system.parts
           WHERE active AND database = currentDatabase() AND table IN (${list})`,
        );
        return row!.bytes / row!.rows;
      };
      return { bytesPerRaw: await perRow(raw), bytesPerCount: await perRow(counts) };
    },
    async [Symbol.asyncDispose]() {
      await clickhouse[Symbol.asyncDispose]();
      await kill();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
