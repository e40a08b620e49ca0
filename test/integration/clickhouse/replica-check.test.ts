/** Two databases of one server stand for two nodes: the statements that compare them are the same. */
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ClickHouse, openClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { ClickHouseConfig, loadConfig } from '../../../infra/config.ts';
import { migrate } from '../../../infra/migrate.ts';
import { checkReplicas, type ReplicaFindings } from '../../../query-api/jobs/replicas/replica-check.ts';
import { comparedTables } from '../../../query-api/store/replicas/replica-digests.ts';
import { startTestClickHouse, type TestClickHouse } from '../../support/clickhouse.ts';

const log = pino({ level: 'silent' });
const now = Date.now();
const hour = Math.floor(now / 3_600_000) * 3_600_000 - 2 * 3_600_000;
const range = { from: hour - 3_600_000, to: hour + 3_600_000 };
let server: TestClickHouse;
let a: ClickHouse;
let b: ClickHouse;

const rows = Array.from({ length: 400 }, (_, i) => i);
const raw = (i: number, change: object = {}) => ({
  ...{ click_id: `c-${i}`, event_id: `e-${i}`, ad_id: `ad-${i % 5}`, clicked_at: hour + i, received_at: hour + i },
  ...{ country: 'KR', user_id: `u-${i}`, ip: '', ...change },
});
const count = (i: number, change: object = {}) => ({
  ...{ minute: hour / 1_000 + 60 * (i % 60), ad_id: `ad-${i}`, country: 'KR', partition: i % 4, version: 7 },
  ...{ clicks: i + 1, duplicates: 1, late: 0, ...change },
});
const lines = (all: readonly object[]) => all.map(row => JSON.stringify(row)).join('\n');

beforeAll(async () => {
  server = await startTestClickHouse();
  const open = (CLICKHOUSE_DATABASE: string) =>
    openClickHouse(loadConfig(ClickHouseConfig, { ...server.env, CLICKHOUSE_DATABASE }), { readers: 1 });
  [a, b] = [open('a'), open('b')];
  for (const node of [a, b]) await migrate(node, log);
  await a.insert('click_raw', lines(rows.map(i => raw(i))));
  await a.insert('ad_minute', lines(rows.map(i => count(i))));
  // In other batches, another order, twice, and with a version that was overtaken.
  for (const part of [rows.slice(200).reverse(), rows.slice(0, 250)]) {
    await b.insert('click_raw', lines(part.map(i => raw(i))));
    await b.insert('ad_minute', lines(part.map(i => count(i, { version: 3, clicks: 1 }))));
    await b.insert('ad_minute', lines(part.map(i => count(i))));
  }
});
afterAll(async () => {
  await a?.[Symbol.asyncDispose]();
  await b?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
});

const nodes = () => [
  { name: 'a', clickhouse: a },
  { name: 'b', clickhouse: b },
];
const check = (level = async () => {}, erasing = false): Promise<ReplicaFindings> =>
  checkReplicas({ nodes: nodes(), level, areErasuresOpen: async () => erasing, now: () => now }, range);
const told = ({ differences }: ReplicaFindings) => differences.map(({ table, partition }) => `${table} ${partition}`);

describe('replicas', () => {
  it('are equal with the same rows, whatever batches and versions they came in', async () => {
    const findings = await check();
    expect(findings).toEqual({ differences: [], rows: 1_200, buckets: 9, unsettled: 0 });
  });

  it('know every table that a sink or a job fills', async () => {
    const tables = await a.query<{ name: string }>(
      `SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree' ORDER BY name`,
    );
    const left = tables.map(({ name }) => name).filter(name => !comparedTables.some(({ table }) => table === name));
    expect(left).toEqual(['ad_hour', 'erasure_done', 'most_clicked_ads', 'partition_progress', 'schema_migration']);
  });

  it.each([
    [
      'a column of a count',
      'ad_minute',
      count(7, { version: 8, clicks: 8, late: 1 }),
      ['ad_minute 3', 'ad_minute_by_ad 3'],
    ],
    ['a click more', 'click_raw', raw(401), ['click_raw -1']],
    [
      'a filter',
      'stored_filter',
      { id: 'x', definition: '{}', deleted: 0, created_at: 0, updated_at: 0, seq: 1 },
      ['stored_filter -1'],
    ],
  ])('are told apart by %s that one of them alone has', async (_, table, row, expected) => {
    await b.insert(table, JSON.stringify(row));
    expect(told(await check())).toEqual(expected);
    await a.insert(table, JSON.stringify(row));
    expect(told(await check())).toEqual([]);
  });

  it('are told apart by a click that one has lost, and by one that is there twice under two ids', async () => {
    await b.command(`ALTER TABLE click_raw DELETE WHERE click_id = 'c-11' SETTINGS mutations_sync=1`);
    expect((await check()).differences.map(({ found }) => [...found.values()].map(({ rows }) => rows))).toEqual([
      [401, 400],
    ]);
    await b.insert('click_raw', lines([raw(11), raw(12, { click_id: 'c-12-again' })]));
    expect((await check()).differences.map(({ found }) => [...found.values()].map(({ rows }) => rows))).toEqual([
      [401, 402],
    ]);
    await a.insert('click_raw', JSON.stringify(raw(12, { click_id: 'c-12-again' })));
    expect(told(await check())).toEqual([]);
  });

  it('are told apart by one column of one row, whichever column it is', async () => {
    for (const change of [
      { event_id: 'x' },
      { country: 'DE' },
      { user_id: 'x' },
      { ip: '1.1.1.1' },
      { received_at: hour },
    ]) {
      await b.insert('click_raw', JSON.stringify(raw(21, change)));
      expect(told(await check()), JSON.stringify(change)).toEqual(['click_raw -1']);
      await b.insert('click_raw', JSON.stringify(raw(21)));
      expect(told(await check())).toEqual([]);
    }
  });

  it('are not told apart by what one of them does not have yet', async () => {
    const late = raw(500);
    await a.insert('click_raw', JSON.stringify(late));
    const findings = await check(() => b.insert('click_raw', JSON.stringify(late)));
    expect(findings).toMatchObject({ differences: [], unsettled: 0 });
  });

  it('are not judged by rows of persons while some are erased, but by all others', async () => {
    await b.insert('click_raw', JSON.stringify(raw(11, { user_id: 'erased:x' })));
    expect(told(await check())).toEqual(['click_raw -1']);
    expect(await check(undefined, true)).toMatchObject({ differences: [], unsettled: 1 });
    await b.insert('ad_minute', JSON.stringify(count(7, { version: 99, clicks: 9 })));
    expect(told(await check(undefined, true))).toEqual(['ad_minute 3', 'ad_minute_by_ad 3']);
    await a.insert('click_raw', JSON.stringify(raw(11, { user_id: 'erased:x' })));
    await a.insert('ad_minute', JSON.stringify(count(7, { version: 99, clicks: 9 })));
    expect(told(await check())).toEqual([]);
  });

  it('are not judged while rows go on changing', async () => {
    let version = 100;
    const change = () => a.insert('ad_minute', JSON.stringify(count(3, { version: version++, clicks: version })));
    await change();
    expect(await check(change)).toMatchObject({ differences: [], unsettled: 2 });
  });
});
