import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type { ClickHouse } from '../../../../infra/clickhouse/clickhouse.ts';
import { plainTables, type TableEngine, tableEngineOf } from '../../../../infra/clickhouse/table-engine.ts';
import { databaseStatement, tableStatement } from '../../../../infra/clickhouse/table-statements.ts';
import { ConfigError } from '../../../../infra/errors.ts';
import { migrate, statementsOf } from '../../../../infra/migrate.ts';

const directory = new URL('../../../../infra/clickhouse/', import.meta.url);
const statements = readdirSync(directory)
  .filter(name => name.endsWith('.sql'))
  .flatMap(name => statementsOf(readFileSync(new URL(name, directory), 'utf8')));

const engineOf = (CLICKHOUSE_TABLE_ENGINE: string, CLICKHOUSE_CLUSTER: string) =>
  tableEngineOf({ CLICKHOUSE_TABLE_ENGINE, CLICKHOUSE_CLUSTER });
const byDefault = engineOf('Replicated', 'main');
const withPath = engineOf("Replicated('/c/{shard}/{database}/{table}', '{replica}')", '{cluster}');
const cloud = engineOf('Shared', '');

/** What `migrate` sends to a server that has no tables yet, by the tables it is to have. */
async function sentBy(tables: TableEngine, engines = `${tables.prefix}ReplacingMergeTree`): Promise<string[]> {
  const sent: string[] = [];
  const nothing = async () => [];
  const clickhouse = {
    tables,
    async query(sql: string, params: { tables?: string[] } = {}) {
      if (!sql.includes('system.tables')) return await nothing();
      return params.tables?.map(name => ({ name, engine: engines })) ?? [];
    },
    command: async (sql: string) => void sent.push(sql),
    insert: async () => undefined,
  };
  const answering = { ...clickhouse, query: withoutTables(clickhouse.query) } as unknown as ClickHouse;
  await migrate(answering, pino({ level: 'silent' }));
  return sent;
}

/** Until `schema_migration` is made, it is not there. */
function withoutTables<A extends unknown[], R>(query: (...args: A) => Promise<R>): (...args: A) => Promise<R> {
  let isFirst = true;
  return async (...args) => {
    if (isFirst) {
      isFirst = false;
      throw Object.assign(new Error('no such table'), { type: 'UNKNOWN_TABLE' });
    }
    return await query(...args);
  };
}

describe('a statement of the migrations', () => {
  it('is sent as it stands where tables are plain, whatever it says', () => {
    for (const statement of statements) expect(tableStatement(statement, plainTables)).toBe(statement);
    fc.assert(fc.property(fc.string(), text => tableStatement(text, plainTables) === text));
  });

  it('is sent by a migration of plain tables to the byte, after that of its own table', async () => {
    const [ledger, ...others] = await sentBy(plainTables);
    expect(ledger).toMatch(/^\s*CREATE TABLE IF NOT EXISTS schema_migration\n/);
    expect(others).toEqual(statements);
  });

  it.each([
    ['the default path, on a cluster', byDefault, "ON CLUSTER 'main'", ''],
    ['a path, on a cluster', withPath, "ON CLUSTER '{cluster}'", "'/c/{shard}/{database}/{table}', '{replica}'"],
    ['the cloud service', cloud, undefined, ''],
  ] as const)('never leaves out what makes it one of %s', async (_, tables, onCluster, replication) => {
    const sent = await sentBy(tables);
    expect(sent).toHaveLength(statements.length + 1);
    for (const statement of sent) {
      const [, kind, name, rest] =
        /^\s*(CREATE TABLE|CREATE MATERIALIZED VIEW|ALTER TABLE|INSERT INTO)(?: IF NOT EXISTS)? (\w+)([\s\S]*)$/.exec(
          statement,
        ) ?? [];
      expect(kind, statement).toBeDefined();
      expect(name).toMatch(/^[a-z_]+$/);
      if (onCluster === undefined || kind === 'INSERT INTO') expect(statement).not.toContain('ON CLUSTER');
      else expect(rest?.startsWith(` ${onCluster}`), statement).toBe(true);
      if (kind !== 'CREATE TABLE') expect(statement).not.toContain('ENGINE');
      else
        expect(statement).toContain(`ENGINE = ${tables.prefix}ReplacingMergeTree${replication && `(${replication}`}`);
      // Blocks that were there before are taken again, as by plain tables.
      expect(statement.split('replicated_deduplication_window = 0')).toHaveLength(kind === 'CREATE TABLE' ? 2 : 1);
    }
  });

  it.each([byDefault, withPath, cloud])('says nothing else than before', tables => {
    for (const statement of statements) expect(taken(tableStatement(statement, tables), tables)).toBe(statement);
  });

  it('keeps the arguments of its engine, after the path', () => {
    const create = 'CREATE TABLE IF NOT EXISTS t\n(\n    a String\n)\nENGINE = ReplacingMergeTree(version)\nORDER BY a';
    expect(tableStatement(create, withPath)).toBe(
      "CREATE TABLE IF NOT EXISTS t ON CLUSTER '{cluster}'\n(\n    a String\n)\n" +
        "ENGINE = ReplicatedReplacingMergeTree('/c/{shard}/{database}/{table}', '{replica}', version)\nORDER BY a\n" +
        'SETTINGS replicated_deduplication_window = 0',
    );
    expect(tableStatement(create, cloud)).toBe(
      'CREATE TABLE IF NOT EXISTS t\n(\n    a String\n)\nENGINE = SharedReplacingMergeTree(version)\nORDER BY a\n' +
        'SETTINGS replicated_deduplication_window = 0',
    );
  });

  it('that alters a table, or makes a view, is told to every server of the cluster', () => {
    expect(tableStatement('ALTER TABLE t ADD COLUMN IF NOT EXISTS b String', byDefault)).toBe(
      "ALTER TABLE t ON CLUSTER 'main' ADD COLUMN IF NOT EXISTS b String",
    );
    expect(tableStatement('CREATE MATERIALIZED VIEW IF NOT EXISTS v TO t\nAS SELECT a FROM s', byDefault)).toBe(
      "CREATE MATERIALIZED VIEW IF NOT EXISTS v ON CLUSTER 'main' TO t\nAS SELECT a FROM s",
    );
    expect(databaseStatement('clicks', byDefault)).toBe("CREATE DATABASE IF NOT EXISTS clicks ON CLUSTER 'main'");
    expect(databaseStatement('clicks', plainTables)).toBe('CREATE DATABASE IF NOT EXISTS clicks');
  });

  it('that inserts rows is told to one server, which gives them to the others', () => {
    const insert = "INSERT INTO t (a) SELECT 'ALTER TABLE t' FROM s";
    expect(tableStatement(insert, byDefault)).toBe(insert);
  });

  it('may quote what would be an engine, or a setting', () => {
    const create =
      "CREATE TABLE IF NOT EXISTS t (a String COMMENT 'ENGINE = MergeTree SETTINGS x') ENGINE = ReplacingMergeTree ORDER BY a";
    expect(tableStatement(create, cloud)).toBe(
      "CREATE TABLE IF NOT EXISTS t (a String COMMENT 'ENGINE = MergeTree SETTINGS x') ENGINE = SharedReplacingMergeTree ORDER BY a" +
        '\nSETTINGS replicated_deduplication_window = 0',
    );
  });

  it.each([
    'CREATE TABLE t (a String) ENGINE = ReplacingMergeTree ORDER BY a',
    'CREATE TABLE IF NOT EXISTS t (a String) ENGINE = Memory',
    'CREATE TABLE IF NOT EXISTS t (a String) ENGINE = ReplicatedReplacingMergeTree ORDER BY a',
    'CREATE MATERIALIZED VIEW IF NOT EXISTS v ENGINE = ReplacingMergeTree ORDER BY a AS SELECT a FROM s',
    'CREATE VIEW v AS SELECT 1',
    'DROP TABLE t',
    'RENAME TABLE t TO u',
  ])('%s is refused where it would be sent to one server of several', statement => {
    expect(() => tableStatement(statement, byDefault)).toThrow(RangeError);
    expect(tableStatement(statement, plainTables)).toBe(statement);
  });
});

describe('tables that are there', () => {
  it.each([
    [byDefault, 'ReplacingMergeTree', 'CLICKHOUSE_TABLE_ENGINE="Replicated"', 'set it to nothing'],
    [plainTables, 'ReplicatedReplacingMergeTree', 'CLICKHOUSE_TABLE_ENGINE=""', 'set it to Replicated'],
    [plainTables, 'SharedReplacingMergeTree', 'CLICKHOUSE_TABLE_ENGINE=""', 'set it to Shared'],
  ])('are refused if they are of another kind than configured', async (tables, engine, setting, remedy) => {
    const migrated = sentBy(tables, engine);
    await expect(migrated).rejects.toThrow(ConfigError);
    await expect(migrated).rejects.toThrow(`${setting}: table `);
    await expect(migrated).rejects.toThrow(`has engine ${engine}: ${remedy}`);
  });
});

/** The statement again, without what was added to it. */
function taken(statement: string, { prefix, replication, cluster }: TableEngine): string {
  const quoted = replication.map(each => `'${each}'`).join(', ');
  return statement
    .replace(cluster === undefined ? '' : ` ON CLUSTER '${cluster}'`, '')
    .replace(`ENGINE = ${prefix}`, 'ENGINE = ')
    .replace(quoted === '' ? '' : `(${quoted})`, '')
    .replace(quoted === '' ? '' : `${quoted}, `, '')
    .replace('\nSETTINGS replicated_deduplication_window = 0', match => (statement.endsWith(match) ? '' : match))
    .replace('replicated_deduplication_window = 0, ', '');
}
