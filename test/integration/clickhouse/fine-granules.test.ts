/** Migration 023 on tables that have rows, while more come in and others read. */
import { copyFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { migrate } from '../../../infra/migrate.ts';
import { openTemporaryClickHouse, type TemporaryClickHouse } from '../../support/temporary-clickhouse.ts';

const log = pino({ level: 'silent' });
const shipped = join(import.meta.dirname, '../../../infra/clickhouse');
let server: TemporaryClickHouse;
/** As the release before had them. */
let older: string;

beforeAll(async () => {
  server = await openTemporaryClickHouse();
  older = mkdtempSync(join(tmpdir(), 'adclicks-sql-'));
  for (const name of readdirSync(shipped)) if (name < '023') copyFileSync(join(shipped, name), join(older, name));
  await migrate(server.clickhouse, log, pathToFileURL(`${older}/`));
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  rmSync(older, { recursive: true, force: true });
});

const start = Math.floor(Date.now() / 86_400_000) * 86_400 - 5 * 86_400;
const former = 40_000;

async function sumsOf(table: string): Promise<unknown> {
  const [sums] = await server.clickhouse.query(
    `SELECT toUInt32(count()) AS cells, toUInt32(sum(clicks)) AS total,
       toString(sum(sipHash64(minute, ad_id, country, version, clicks))) AS hash
     FROM ${table} FINAL SETTINGS do_not_merge_across_partitions_select_final=1`,
  );
  return sums;
}

it('changes the table under those who insert and read, and no row is missing at any moment, however many migrate', async () => {
  const { clickhouse } = server;
  await clickhouse.command(
    `INSERT INTO ad_minute SELECT toDateTime(${start} + 60 * (number % 7200), 'UTC'), concat('ad-', toString(number % 97)),
       'KR', number % 4, number, 1 + number % 5, 0, 0 FROM numbers(${former})`,
  );
  const before = await sumsOf('ad_minute');
  let isOver = false;
  let inserts = 0;
  const inserting = Array.from({ length: 3 }, async (_, writer) => {
    for (let round = 0; !isOver; round++, inserts++) {
      const rows = Array.from({ length: 20 }, (_, i) => {
        const minute = start + 86_400 * 6 + 60 * (round % 600);
        return JSON.stringify([minute, `new-${writer}-${round}-${i}`, 'DE', writer, round, 1, 0, 0]);
      });
      await clickhouse.insert('ad_minute', rows.join('\n'));
    }
  });
  const seen = new Set<string>();
  const reading = (async () => {
    while (!isOver) {
      const [row] = await clickhouse.query(
        `SELECT toUInt32(count()) AS cells, toUInt32(sum(clicks)) AS total FROM ad_minute_by_ad FINAL WHERE country = 'KR'`,
      );
      seen.add(JSON.stringify(row));
    }
  })();
  await Promise.all([migrate(clickhouse, log), migrate(clickhouse, log)]);
  isOver = true;
  await Promise.all([...inserting, reading]);
  expect(inserts).toBeGreaterThan(0);
  expect([...seen]).toHaveLength(1);
  expect(JSON.parse([...seen][0] ?? '')).toMatchObject({ cells: (before as { cells: number }).cells });
  expect(await sumsOf('ad_minute_by_ad')).toEqual(await sumsOf('ad_minute'));
  const tables = await clickhouse.query<{ name: string; sql: string }>(
    `SELECT name, create_table_query AS sql FROM system.tables WHERE database = currentDatabase() AND name LIKE '%by_ad%' ORDER BY name`,
  );
  expect(tables.map(({ name }) => name)).toEqual(['ad_minute_by_ad', 'ad_minute_to_by_ad']);
  expect(tables[0]?.sql).toContain('index_granularity = 1024');
});

it('takes over what is inserted afterwards, and merges the former parts into fine granules', async () => {
  const { clickhouse } = server;
  await clickhouse.insert('ad_minute', JSON.stringify([start, 'last', 'KR', 0, 1, 1, 0, 0]));
  await clickhouse.command('OPTIMIZE TABLE ad_minute_by_ad FINAL');
  expect(await sumsOf('ad_minute_by_ad')).toEqual(await sumsOf('ad_minute'));
  const [parts] = await clickhouse.query<{ rows: number; marks: number }>(
    `SELECT toUInt32(sum(rows)) AS rows, toUInt32(sum(marks)) AS marks FROM system.parts
     WHERE database = currentDatabase() AND table = 'ad_minute_by_ad' AND active`,
  );
  expect(parts?.marks).toBeGreaterThan((parts?.rows ?? 0) / 1_025);
});
