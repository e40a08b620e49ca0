/** What goes into a real ClickHouse server comes back as it was: rows, texts, numbers, errors. */
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { codeOf } from '../../../infra/clickhouse/errors.ts';
import { statement } from '../../../infra/clickhouse/sql.ts';
import { RefusedRows, Retryable } from '../../../infra/errors.ts';
import { clickedWithin, minuteWithin } from '../../../query-api/store/sql/within.ts';
import { openTemporaryClickHouse, type TemporaryClickHouse } from '../../support/temporary-clickhouse.ts';
import { eventually } from '../../support/wait.ts';

let server: TemporaryClickHouse;
let clickhouse: ClickHouse;

beforeAll(async () => {
  server = await openTemporaryClickHouse({ CLICKHOUSE_DATABASE: 'elsewhere' });
  clickhouse = server.clickhouse;
  const columns = "id String, n UInt64, at DateTime64(3, 'UTC')";
  await clickhouse.command(`CREATE TABLE sample (${columns}) ENGINE = MergeTree ORDER BY id`);
  await clickhouse.command(`CREATE TABLE bystander (${columns}) ENGINE = MergeTree ORDER BY id`);
});
beforeEach(() => clickhouse.command('TRUNCATE TABLE sample'));
afterAll(() => server[Symbol.asyncDispose]());

const lines = (...rows: readonly object[]) => rows.map(row => `${JSON.stringify(row)}\n`).join('');
const ids = async () =>
  (await clickhouse.query<{ id: string }>('SELECT id FROM sample ORDER BY id')).map(row => row.id);

describe('disks', () => {
  it('are told by the server: where its data lies, and how much room there is', async () => {
    const [disk] = await clickhouse.disks();
    expect(disk?.name).toBe('default');
    expect(disk?.freeBytes).toBeGreaterThan(1e6);
    expect(disk?.sizeBytes).toBeGreaterThan(disk?.freeBytes ?? 0);
  });
});

describe('a range of time', () => {
  it('has what lies within it, however the rows lie in parts of their table', async () => {
    await clickhouse.command(
      `CREATE TABLE moments (clicked_at DateTime64(3, 'UTC'), minute DateTime('UTC'))
       ENGINE = MergeTree PARTITION BY toDate(clicked_at) ORDER BY toStartOfMinute(clicked_at)`,
    );
    const minuteMs = 60_000;
    const midnight = Date.parse('2026-11-22T00:00:00Z');
    const border = fc.integer({ min: -2, max: 2 }).map(minutes => midnight + minutes * minuteMs);
    // Near a border, as what lies far from it is seldom taken for the other side.
    const moment = fc.tuple(border, fc.integer({ min: -1_001, max: 1_001 })).map(([at, ms]) => at + ms);
    const parts = fc.array(fc.array(moment, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(parts, border, fc.integer({ min: 1, max: 4 }), async (times, from, minutes) => {
        await clickhouse.command('TRUNCATE TABLE moments');
        for (const part of times) {
          const rows = part.map(at => ({ clicked_at: at, minute: Math.floor(at / minuteMs) * 60 }));
          await clickhouse.insert('moments', lines(...rows));
        }
        const range = { from, to: from + minutes * minuteMs };
        const within = times.flat().filter(at => at >= range.from && at < range.to);
        for (const where of [clickedWithin(range), minuteWithin(range)]) {
          const [sql, params] = statement`SELECT toUnixTimestamp64Milli(clicked_at) AS at FROM moments WHERE ${where}
            ORDER BY at SETTINGS output_format_json_quote_64bit_integers=0`;
          const rows = await clickhouse.query<{ at: number }>(sql, params);
          expect(rows.map(({ at }) => at)).toEqual(within.toSorted((a, b) => a - b));
        }
      }),
      { numRuns: 60 },
    );
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

describe('values', () => {
  it('may be a list that is too long for one parameter, and for an address', async () => {
    const list = Array.from({ length: 9_000 }, (_, i) => `'ad\\ ${'한'.repeat(30)}${i}`);
    const [row] = await clickhouse.query(
      ...statement`SELECT toUInt32(length(${list})) AS n, ${list[8_999] ?? ''} IN ${list} AS last`,
    );
    expect(row).toEqual({ n: 9_000, last: 1 });
  });

  it.each(["' OR 1 = 1 --", '\\', "\\'", '{p0:String}', '\0\t\r\n', '한국 ＝', '%27'])(
    'are what they are: %j',
    async text => {
      const found = await clickhouse.query(
        ...statement`SELECT ${text} AS told, [${text}] = ${[text]} AS same, ${7} AS n`,
      );
      expect(found).toEqual([{ told: text, same: 1, n: 7 }]);
    },
  );
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

  it('that is given up while it is read piece by piece ends in the server', async () => {
    const running = async () =>
      (
        await clickhouse.query<{ n: number }>(
          "SELECT count() AS n FROM system.processes WHERE query LIKE '%numbers(99999999999)%' AND query NOT LIKE '%processes%'",
        )
      )[0]?.n;
    for await (const _ of clickhouse.stream('SELECT number FROM numbers(99999999999)', 'JSONEachRow')) {
      expect(await running()).toBe(1);
      break;
    }
    await eventually('the server has ended it', async () => (await running()) === 0);
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
