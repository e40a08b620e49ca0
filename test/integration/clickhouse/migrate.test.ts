/** The migrations on a real ClickHouse: made once, refused where they do not fit. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { notJudged } from '../../../aggregator/ad-minute.ts';
import { incarnationOf } from '../../../infra/clickhouse/incarnation.ts';
import { ConfigError, Corrupt } from '../../../infra/errors.ts';
import { migrate, statementsOf } from '../../../infra/migrate.ts';
import { openTemporaryClickHouse, type TemporaryClickHouse } from '../../support/temporary-clickhouse.ts';

const log = pino({ level: 'silent' });
let engine: TemporaryClickHouse;
let directory: string;

beforeAll(async () => {
  engine = await openTemporaryClickHouse();
});
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'adclicks-sql-'));
});
afterEach(async () => {
  rmSync(directory, { recursive: true });
  for (const { name } of await tables()) await engine.clickhouse.command(`DROP TABLE ${name}`);
});
afterAll(() => engine[Symbol.asyncDispose]());

const tables = () =>
  engine.clickhouse.query<{ name: string }>(
    'SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name',
  );
const tableNames = async () => (await tables()).map(table => table.name);
const applied = () =>
  engine.clickhouse.query<{ version: number; name: string }>(
    'SELECT version, name FROM schema_migration FINAL WHERE version > 0 ORDER BY version',
  );

const file = (name: string, sql: string) => writeFileSync(join(directory, name), sql);
const run = () => migrate(engine.clickhouse, log, pathToFileURL(`${directory}/`));
const replacing = (name: string) =>
  `CREATE TABLE IF NOT EXISTS ${name}\n(\n    a String\n)\nENGINE = ReplacingMergeTree\nORDER BY a;\n`;

describe('migrate', () => {
  it('makes all tables of the pipeline, once, however often it runs', async () => {
    await migrate(engine.clickhouse, log);
    const names = await tableNames();
    expect(names).toEqual(
      expect.arrayContaining(['ad_minute', 'ad_minute_by_ad', 'click_raw', 'partition_progress', 'quarantine']),
    );
    const before = await applied();
    await migrate(engine.clickhouse, log);
    expect(await applied()).toEqual(before);
    expect(await tableNames()).toEqual(names);
  });

  it('tells one life of the tables from another, and that of tables that were there before lives were told', async () => {
    const { clickhouse } = engine;
    expect(await incarnationOf(clickhouse)).toBeUndefined();
    await migrate(clickhouse, log);
    const first = await incarnationOf(clickhouse);
    await migrate(clickhouse, log);
    expect(await incarnationOf(clickhouse)).toBe(first);
    for (const { name } of await tables()) await clickhouse.command(`DROP TABLE ${name}`);
    await migrate(clickhouse, log);
    const second = await incarnationOf(clickhouse);
    expect(second).toMatch(/^[0-9a-f-]{36}$/);
    expect(second).not.toBe(first);
    await clickhouse.command('ALTER TABLE schema_migration DELETE WHERE version = 0 SETTINGS mutations_sync=1');
    await migrate(clickhouse, log);
    expect(await incarnationOf(clickhouse)).toBe('');
  });

  it('lets every row of ad_minute into ad_minute_by_ad as well', async () => {
    await migrate(engine.clickhouse, log);
    const minute = Math.floor(Date.now() / 60_000) * 60;
    const row = { minute, ad_id: 'a', country: 'KR', partition: 3, version: 7, clicks: 5, duplicates: 2, late: 1 };
    await engine.clickhouse.insert('ad_minute', JSON.stringify(row));
    const found = await engine.clickhouse.query(
      'SELECT toUnixTimestamp(minute) AS minute, * EXCEPT minute FROM ad_minute_by_ad',
    );
    expect(found).toEqual([{ ...row, ...notJudged }]);
  });

  it('does no harm when two processes run it at the same time', async () => {
    await Promise.all([migrate(engine.clickhouse, log), migrate(engine.clickhouse, log)]);
    const versions = (await applied()).map(row => row.version);
    expect(versions).toEqual([...new Set(versions)]);
  });

  it('applies files in order, and later only the new ones', async () => {
    file('001_first.sql', replacing('first'));
    await run();
    file('002_second.sql', `${replacing('second')}\nALTER TABLE first ADD COLUMN IF NOT EXISTS b String;`);
    file('notes.md', 'not SQL');
    await run();
    expect(await applied()).toEqual([
      { version: 1, name: '001_first.sql' },
      { version: 2, name: '002_second.sql' },
    ]);
    expect(await engine.clickhouse.query('SELECT b FROM first')).toEqual([]);
  });

  it('goes on where a process died in the middle of a file', async () => {
    file('001_two.sql', `${replacing('one')} SELECT throwIf(1);`);
    await expect(run()).rejects.toThrow();
    expect(await applied()).toEqual([]);
    file('001_two.sql', `${replacing('one')}${replacing('two')}`);
    await run();
    expect(await tableNames()).toEqual(['one', 'schema_migration', 'two']);
  });

  it('refuses a file that has changed since it was applied', async () => {
    file('001_first.sql', replacing('first'));
    await run();
    file('001_first.sql', `${replacing('first')}-- better`);
    await expect(run()).rejects.toThrow(ConfigError);
    await expect(run()).rejects.toThrow(/001_first\.sql has changed since it was applied/);
  });

  it('refuses two files of one number', async () => {
    file('001_first.sql', replacing('first'));
    file('001_other.sql', replacing('other'));
    await expect(run()).rejects.toThrow(ConfigError);
  });

  it('refuses a table whose engine would keep repeated rows', async () => {
    await engine.clickhouse.command('CREATE TABLE first (a String) ENGINE = MergeTree ORDER BY a');
    file('001_first.sql', replacing('first'));
    await expect(run()).rejects.toThrow(Corrupt);
    await expect(run()).rejects.toThrow(/table first has engine MergeTree/);
  });

  it('misses a table that somebody has dropped', async () => {
    file('001_first.sql', replacing('first'));
    await run();
    await engine.clickhouse.command('DROP TABLE first');
    await expect(run()).rejects.toThrow(/are missing: first/);
  });
});

describe('statementsOf', () => {
  it.each([
    ['SELECT 1; SELECT 2', ['SELECT 1', 'SELECT 2']],
    ['-- a; b\nSELECT 1 -- c;\n;', ['SELECT 1']],
    ['/* a; */ SELECT 1; /* b */', ['SELECT 1']],
    ["SELECT 'a;b', 'it''s; so', 'c\\'; d'; SELECT 2", ["SELECT 'a;b', 'it''s; so', 'c\\'; d'", 'SELECT 2']],
    ['SELECT `a;b`, "c;d"; SELECT 8 / 2 - 1', ['SELECT `a;b`, "c;d"', 'SELECT 8 / 2 - 1']],
    [' ;; \n', []],
  ])('splits %j', (sql, statements) => {
    expect(statementsOf(sql)).toEqual(statements);
  });
});
