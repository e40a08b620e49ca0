import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Disk } from '../../../infra/clickhouse/disks.ts';
import { codeOf } from '../../../infra/clickhouse/errors.ts';
import { disksSql } from '../../../infra/clickhouse/server.ts';
import type { ClickHouse } from '../../../infra/clickhouse.ts';
import { ConfigError, RefusedRows, Retryable } from '../../../infra/errors.ts';
import { openTemporaryEngine, type TemporaryEngine } from '../../support/temporary-engine.ts';

let engine: TemporaryEngine;
let clickhouse: ClickHouse;

beforeAll(async () => {
  engine = await openTemporaryEngine({ CLICKHOUSE_DATABASE: 'elsewhere' });
  clickhouse = engine.clickhouse;
  const columns = "id String, n UInt64, at DateTime64(3, 'UTC')";
  await clickhouse.command(`CREATE TABLE sample (${columns}) ENGINE = MergeTree ORDER BY id`);
  await clickhouse.command(`CREATE TABLE bystander (${columns}) ENGINE = MergeTree ORDER BY id`);
});
beforeEach(() => clickhouse.command('TRUNCATE TABLE sample'));
afterAll(() => engine[Symbol.asyncDispose]());

const lines = (...rows: readonly object[]) => rows.map(row => `${JSON.stringify(row)}\n`).join('');
const ids = async () =>
  (await clickhouse.query<{ id: string }>('SELECT id FROM sample ORDER BY id')).map(row => row.id);

describe('disks', () => {
  it('are told by the system, and by the SQL that asks a server about its own', async () => {
    const [own] = await clickhouse.disks();
    expect(own?.name).toBe('data');
    const [asked] = await clickhouse.query<Disk>(disksSql);
    expect(asked?.name).toBe('default');
    for (const { freeBytes, sizeBytes } of [own, asked].filter(disk => disk !== undefined)) {
      expect(freeBytes).toBeGreaterThan(1e6);
      expect(sizeBytes).toBeGreaterThan(freeBytes);
    }
  });
});

describe('rows', () => {
  it('come back as they went in: all text, integers up to 2^53 - 1, times in ms', async () => {
    const text = 'quote " backslash \\ newline \n tab \t nul \0 한국 ; -- /* \' {x:String}';
    await clickhouse.insert('sample', lines({ id: text, n: Number.MAX_SAFE_INTEGER, at: 1_763_800_000_123 }));
    const rows = await clickhouse.query(
      `SELECT id, n, toUnixTimestamp64Milli(at) AS at FROM sample WHERE id = {id:String}
       SETTINGS output_format_json_quote_64bit_integers=0`,
      { id: text },
    );
    expect(rows).toEqual([{ id: text, n: Number.MAX_SAFE_INTEGER, at: 1_763_800_000_123 }]);
  });

  it('live in the configured database, for the writer and every reader', async () => {
    const asked = Array.from({ length: 6 }, () => clickhouse.query('SELECT currentDatabase() AS name'));
    expect(new Set((await Promise.all(asked)).flat().map(row => JSON.stringify(row)))).toEqual(
      new Set(['{"name":"elsewhere"}']),
    );
  });

  it('may be 20 MB in one insert', async () => {
    const row = `${'x'.repeat(100)}","n":1,"at":1763800000123}\n`;
    const rows = Array.from({ length: 150_000 }, (_, i) => `{"id":"${i}-${row}`).join('');
    expect(rows.length).toBeGreaterThan(20_000_000);
    await clickhouse.insert('sample', rows);
    expect(await clickhouse.query('SELECT count() AS rows, uniqExact(id) AS ids FROM sample')).toEqual([
      { rows: 150_000, ids: 150_000 },
    ]);
  });

  it('may be none at all', async () => {
    await clickhouse.insert('sample', '');
    await clickhouse.insert('sample', '\n\n');
    expect(await ids()).toEqual([]);
  });

  it('may lack the last newline, have blank lines between them, and fields that the table does not know', async () => {
    await clickhouse.insert('sample', '\n{"id":"a","n":1,"colour":"red"}\n\n\n{"id":"b","n":null}');
    expect(await ids()).toEqual(['a', 'b']);
  });

  it('may lie in more partitions than ClickHouse lets one insert touch by default', async () => {
    await clickhouse.command('CREATE TABLE days (day Date) ENGINE = MergeTree PARTITION BY day ORDER BY day');
    await clickhouse.insert('days', lines(...Array.from({ length: 1_200 }, (_, day) => ({ day }))));
    expect(await clickhouse.query('SELECT count() AS days FROM days')).toEqual([{ days: 1_200 }]);
  });
});

describe('rows from outside', () => {
  it.each([
    '{"id":"a"}\n\nDROP TABLE bystander',
    '{"id":"a"}\n\n; DROP TABLE bystander;\n',
    '{"id":"a"};\n\nDROP TABLE bystander;',
    '{"id":"a"}\n;\nDROP TABLE bystander;',
    '{"id":"a"}; DROP TABLE bystander',
    '{"id":"a"}\r\n\r\nDROP TABLE bystander',
    '; DROP TABLE bystander',
    '\n\nDROP TABLE bystander',
    '{"id":"a\n\n; DROP TABLE bystander; --"}',
    '{"id":"a"}\n\n{"id":"b"}\n\n\n\nDROP TABLE bystander',
    '{"id":"a"} SETTINGS async_insert=1; DROP TABLE bystander',
  ])('are never run as SQL: %j', async rows => {
    await clickhouse.insert('sample', rows).catch(error => expect(error).toBeInstanceOf(RefusedRows));
    expect(await clickhouse.query('EXISTS TABLE bystander')).toEqual([{ result: 1 }]);
  });

  it.each([
    '{"id":"a","n":1}\nnot a row',
    '{"id":"a","n":"many"}',
    '{"id":"a","n":-1.5}',
    '{"id":"a"',
    '[{"id":"a"}]',
    '{"id":"a","at":"yesterday"}',
    '{"id":{"a":1}}',
    '{"id":[1]}',
    '{"id":1}',
    '{"id":true}',
    '{"id":"a","n":true}',
  ])('are refused, and none of the batch is kept: %j', async rows => {
    await expect(clickhouse.insert('sample', rows)).rejects.toBeInstanceOf(RefusedRows);
    expect(await ids()).toEqual([]);
  });
});

describe('settings', () => {
  it('of one statement are gone for the next one of the same connection', async () => {
    await clickhouse.insert('sample', lines({ id: 'a' }));
    const changed = 'SELECT name, value FROM system.settings WHERE changed AND name IN ';
    const names = [
      'max_result_rows',
      'max_execution_time',
      'async_insert',
      'date_time_input_format',
      'insert_deduplicate',
    ];
    for (let i = 0; i < 6; i++)
      await clickhouse.query('SELECT 1 SETTINGS max_result_rows=7, max_execution_time=3, async_insert=0');
    const left = await Promise.all(
      Array.from({ length: 6 }, () => clickhouse.query(`${changed} {names:Array(String)}`, { names })),
    );
    expect(left.flat()).toEqual([]);
  });

  it('let equal inserts both in: nothing is dropped as a repetition of something else', async () => {
    await clickhouse.insert('sample', lines({ id: 'a' }));
    await clickhouse.insert('sample', lines({ id: 'a' }));
    expect(await ids()).toEqual(['a', 'a']);
  });
});

describe('a query', () => {
  const slow =
    'SELECT count() FROM numbers(1000000000000) WHERE cityHash64(number) = 1 SETTINGS max_execution_time=0.5';

  it('that takes too long ends in time, as Retryable', async () => {
    const startedAt = performance.now();
    const error = await clickhouse.query(slow).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(Retryable);
    expect(codeOf(error)).toBe('TIMEOUT_EXCEEDED');
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });

  it('does not hold up inserts', async () => {
    const queries = [clickhouse.query(slow), clickhouse.query(slow)].map(query => query.catch(() => 'too slow'));
    const first = await Promise.race([
      ...queries,
      clickhouse.insert('sample', lines({ id: 'a' })).then(() => 'inserted'),
    ]);
    expect(first).toBe('inserted');
    await Promise.all(queries);
  });

  it('waits its turn, and is refused as Retryable when too many wait already', async () => {
    const queries = Array.from({ length: 200 }, () => clickhouse.query('SELECT sleep(0.02) AS zero'));
    const settled = await Promise.allSettled(queries);
    const refused = settled.filter(result => result.status === 'rejected').map(result => result.reason);
    expect(refused.length).toBe(200 - 128 - 2);
    expect(refused.every(reason => reason instanceof Retryable)).toBe(true);
  });

  it('whose bound values differ gets its own, also beside others', async () => {
    const asked = Array.from({ length: 50 }, (_, i) =>
      clickhouse.query<{ v: string }>('SELECT {v:String} AS v', { v: `${i}'` }),
    );
    expect((await Promise.all(asked)).map(([row]) => row?.v)).toEqual(Array.from({ length: 50 }, (_, i) => `${i}'`));
  });

  it('of a table that is not there yet is worth trying again', async () => {
    await expect(clickhouse.query('SELECT * FROM nothing')).rejects.toBeInstanceOf(Retryable);
  });

  it('that is wrong is a fault of ours, and not tried again', async () => {
    const error = await clickhouse.query('SELECT nothing FROM sample').catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toBeInstanceOf(Retryable);
  });
});

describe('the directory', () => {
  const open = (dataDir: string) => {
    const script = `
      import { openClickHouse } from './infra/clickhouse.ts';
      import { ClickHouseConfig, loadConfig } from './infra/config.ts';
      try {
        await using clickhouse = await openClickHouse(loadConfig(ClickHouseConfig), { readers: 1 });
        await clickhouse.ping();
        console.log('opened');
      } catch (error) {
        console.log(error.name + ': ' + error.message);
      }`;
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
      env: { ...process.env, DATA_DIR: dataDir, CLICKHOUSE_URL: '' },
      encoding: 'utf8',
    });
    return stdout.trim();
  };

  it('belongs to one process: a second one is told so, by its name', () => {
    const said = open(engine.config.DATA_DIR);
    expect(said).toMatch(/^ConfigError: .*clickhouse is in use by process \d+/);
    expect(said).toContain(engine.config.DATA_DIR);
  });

  it('that cannot be one is a ConfigError', () => {
    const directory = mkdtempSync(join(tmpdir(), 'adclicks-'));
    writeFileSync(join(directory, 'file'), '');
    expect(open(join(directory, 'file'))).toMatch(new RegExp(`^${ConfigError.name}: .*cannot be written`));
    rmSync(directory, { recursive: true });
  });

  it('is free again when its process has closed it', () => {
    const directory = mkdtempSync(join(tmpdir(), 'adclicks-'));
    expect([open(directory), open(directory)]).toEqual(['opened', 'opened']);
    rmSync(directory, { recursive: true });
  });
});
