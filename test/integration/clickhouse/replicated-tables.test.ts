/**
 * The tables of a cluster that replicates itself, as far as the server of `npm start` goes: with ZooKeeper it makes
 * replicated tables, which stay read-only as it has no port for other servers, and takes no statement ON CLUSTER. So two
 * of them make the tables, and rows are inserted into plain ones, with all that a cluster is told.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ClickHouse, openClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { codeOf } from '../../../infra/clickhouse/errors.ts';
import { plainTables, tableEngineOf } from '../../../infra/clickhouse/table-engine.ts';
import { tableStatement } from '../../../infra/clickhouse/table-statements.ts';
import { ClickHouseConfig, loadConfig } from '../../../infra/config.ts';
import { startClickHouse } from '../../../infra/embedded/clickhouse.ts';
import { createLog } from '../../../infra/log.ts';
import { migrate, statementsOf } from '../../../infra/migrate.ts';
import { quietPort } from '../../support/quiet-port.ts';
import { startZooKeeper } from '../../support/zookeeper.ts';

const engine = "Replicated('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')";
const replicated = tableEngineOf({ CLICKHOUSE_TABLE_ENGINE: engine, CLICKHOUSE_CLUSTER: '' });
const onCluster = tableEngineOf({ CLICKHOUSE_TABLE_ENGINE: engine, CLICKHOUSE_CLUSTER: 'main' });

const directory = new URL('../../../infra/clickhouse/', import.meta.url);
const statements = readdirSync(directory)
  .filter(name => name.endsWith('.sql'))
  .sort()
  .flatMap(name => statementsOf(readFileSync(new URL(name, directory), 'utf8')));
const creations = statements.filter(statement => statement.startsWith('CREATE '));

const stack = new AsyncDisposableStack();
let servers: Record<string, string>[];
let replicas: ClickHouse[];

beforeAll(async () => {
  const zooKeeper = stack.use(await startZooKeeper());
  const start = async (replica: string) => {
    const dataDir = mkdtempSync(join(tmpdir(), 'test-replicated-'));
    stack.defer(() => rmSync(dataDir, { recursive: true, force: true }));
    const server = await startClickHouse({
      ...{ dataDir, memoryMb: 2_048, httpPort: await quietPort(), tcpPort: await quietPort() },
      settings: ours => ({
        ...ours,
        zookeeper: { node: { host: zooKeeper.host, port: zooKeeper.port } },
        macros: { shard: '01', replica },
      }),
    });
    stack.defer(async () => {
      process.kill(server.pid, 'SIGKILL');
      await server.exited;
    });
    return { ...server.env };
  };
  servers = await Promise.all(['first', 'second'].map(start));
  replicas = servers.map(env => opened(env));
  await replicas[0]?.command('CREATE DATABASE plain');
  const plain = opened({ ...servers[0], CLICKHOUSE_DATABASE: 'plain' });
  for (const statement of creations) {
    await plain.command(tableStatement(statement, plainTables));
    for (const replica of replicas) await replica.command(tableStatement(statement, replicated));
  }
});
afterAll(() => stack.disposeAsync());

function opened(env: Record<string, string>): ClickHouse {
  return stack.use(openClickHouse(loadConfig(ClickHouseConfig, env), { readers: 2 }));
}

interface Table {
  readonly name: string;
  readonly engine: string;
  readonly engine_full: string;
  readonly columns: unknown;
}

const tablesIn = async (database: string): Promise<Table[]> =>
  (await replicas[0]?.query<Table>(
    `SELECT name, engine, engine_full, (
       SELECT groupArray((name, type, default_expression, compression_codec, comment))
       FROM (SELECT * FROM system.columns WHERE database = {database:String} ORDER BY table, position) AS c
       WHERE c.table = tables.name
     ) AS columns
     FROM system.tables WHERE database = {database:String} ORDER BY name`,
    { database },
  )) ?? [];

describe('replicated tables', () => {
  it('are made by a real server, each as its plain one, with the arguments of its engine behind path and replica', async () => {
    const [plain, made] = [await tablesIn('plain'), await tablesIn('default')];
    expect(made.map(({ name }) => name)).toEqual(plain.map(({ name }) => name));
    expect(made.length).toBe(creations.length);
    for (const [i, { name, engine: of, engine_full, columns }] of made.entries()) {
      expect(columns).toEqual(plain[i]?.columns);
      if (of === 'MaterializedView') continue;
      expect(of).toBe('ReplicatedReplacingMergeTree');
      const path = `'/clickhouse/tables/{shard}/default/${name}', '{replica}'`;
      expect(engine_full).toContain(`ReplicatedReplacingMergeTree(${path}`);
      const asPlain = engine_full
        .replace('Replicated', '')
        .replace(`(${path}, `, '(')
        .replace(`(${path})`, '')
        .replace(/replicated_deduplication_window = 0, /, '');
      expect(asPlain).toBe(plain[i]?.engine_full);
    }
  });

  it('are replicas of each other where two servers make them: one path, a name for each', async () => {
    for (const [i, name] of ['first', 'second'].entries()) {
      const rows = await replicas[i]?.query<{
        table: string;
        zookeeper_path: string;
        replica_name: string;
        total: number;
      }>('SELECT table, zookeeper_path, replica_name, total_replicas AS total FROM system.replicas ORDER BY table');
      expect(rows?.length).toBe(creations.filter(statement => statement.startsWith('CREATE TABLE')).length);
      for (const { table, zookeeper_path, replica_name, total } of rows ?? []) {
        expect(zookeeper_path).toBe(`/clickhouse/tables/01/default/${table}`);
        expect([replica_name, total]).toEqual([name, 2]);
      }
    }
  });
});

describe('a statement for a cluster', () => {
  it('is one that a real server can read, and reads as told to the cluster', async () => {
    for (const statement of statements) {
      const sent = tableStatement(statement, onCluster);
      const [read] =
        (await replicas[0]?.query<{ text: string }>('SELECT formatQuery({sql:String}) AS text', { sql: sent })) ?? [];
      if (statement.startsWith('INSERT')) expect(read?.text).not.toContain('ON CLUSTER');
      else expect(read?.text.split('\n')[0]).toMatch(/ ON CLUSTER main\b/);
    }
  });
});

describe('what a cluster is told with every statement', () => {
  it('is known to a real server, and changes nothing on plain tables', async () => {
    const CLICKHOUSE_DATABASE = 'told';
    await migrate(opened({ ...servers[0], CLICKHOUSE_DATABASE }), createLog('test', 'error'));
    const told = opened({ ...servers[0], CLICKHOUSE_DATABASE, CLICKHOUSE_TABLE_ENGINE: engine });
    const row = { version: 900, name: 'a', checksum: 'b', applied_at: Date.now() };
    for (const name of ['a', 'a', 'b']) await told.insert('schema_migration', JSON.stringify({ ...row, name }));
    await told.command(
      'INSERT INTO schema_migration SELECT 901, name, checksum, applied_at FROM schema_migration FINAL WHERE version = 900',
    );
    await told.command('ALTER TABLE schema_migration ADD COLUMN IF NOT EXISTS more String');
    const read = 'SELECT version, name FROM schema_migration FINAL WHERE version >= 900 ORDER BY version';
    expect(await told.query(read)).toEqual([
      { version: 900, name: 'b' },
      { version: 901, name: 'b' },
    ]);
    const pieces: Uint8Array[] = [];
    for await (const piece of told.stream(read, 'CSV')) pieces.push(piece);
    expect(Buffer.concat(pieces).toString()).toBe('900,"b"\n901,"b"\n');
  });

  it('does not let a plain server pass for one: tables of another kind are refused', async () => {
    const CLICKHOUSE_DATABASE = 'told';
    const told = opened({ ...servers[0], CLICKHOUSE_DATABASE, CLICKHOUSE_TABLE_ENGINE: engine });
    await expect(migrate(told, createLog('test', 'error'))).rejects.toThrow(
      'CLICKHOUSE_TABLE_ENGINE="Replicated": table ad_hour has engine ReplacingMergeTree',
    );
  });

  it('of a server that cannot take it is not kept to itself: the cluster’s statement is refused', async () => {
    const told = opened({ ...servers[0], CLICKHOUSE_TABLE_ENGINE: engine, CLICKHOUSE_CLUSTER: 'main' });
    const error = await told
      .command(tableStatement('ALTER TABLE ad_hour ADD COLUMN b String', onCluster))
      .catch(e => e);
    expect(codeOf(error)).toBe('QUERY_IS_PROHIBITED');
  });
});
