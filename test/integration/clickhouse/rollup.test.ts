/** The roll-up answers as the minutes do, through restatements and kills, on a real ClickHouse. */
import fc from 'fast-check';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Judged, judgedColumns, notJudged } from '../../../aggregator/ad-minute.ts';
import type { CellChange } from '../../../aggregator/restatement.ts';
import { migrate } from '../../../infra/migrate.ts';
import { stepsOfRange } from '../../../query-api/http/time-zone.ts';
import { createRollUpLoop, type RollUpLoop } from '../../../query-api/jobs/rollup/roll-up-loop.ts';
import type { AdCount } from '../../../query-api/store/ad-counts.ts';
import { createGroupQueries, type GroupQueries } from '../../../query-api/store/group-counts.ts';
import { clickKinds, clicksOf } from '../../../query-api/store/net-and-gross.ts';
import { type BlockDirectory, createBlockDirectory } from '../../../query-api/store/rollup/block-directory.ts';
import { topOf } from '../../../query-api/store/rollup/threshold.ts';
import { createTopQueries, type TopQueries } from '../../../query-api/store/rollup/top-lists.ts';
import { noneInvalid, restateIn } from '../../support/log-into.ts';
import { openTemporaryClickHouse, type TemporaryClickHouse } from '../../support/temporary-clickhouse.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
/** Ranges cross from one partition of the tables into the next. */
const start = Date.parse('2026-11-21T22:00:00Z');
/** With clicks: the end of an hour, a whole one, and the begin of the next, of another day. */
const [firstMinute, endMinute] = [50, 130];
const log = pino({ level: 'silent' });
const countries = ['DE', 'KR', 'US'];
/** Shorter than the number of ads, so that lists leave ads out. */
const listed = { minute: 4, hour: 6, window: 3 };

let engine: TemporaryClickHouse;
let directory: BlockDirectory;
let tops: TopQueries;
let groups: GroupQueries;
let rollUps: RollUpLoop;

beforeAll(async () => {
  engine = await openTemporaryClickHouse();
  await migrate(engine.clickhouse, log);
  // Merges drop nothing, however old the rows are. Without any, each statement would go through the parts of all blocks.
  await engine.clickhouse.command('SYSTEM STOP TTL MERGES');
  directory = createBlockDirectory(engine.clickhouse, { timeoutMs: 10_000 });
  tops = createTopQueries(engine.clickhouse, directory, { timeoutMs: 10_000, depthOf: limit => Math.min(limit, 3) });
  groups = createGroupQueries(engine.clickhouse, { timeoutMs: 10_000 });
});
afterAll(() => engine[Symbol.asyncDispose]());

async function forget(): Promise<void> {
  const tables = [
    'ad_minute',
    'ad_minute_by_ad',
    'ad_hour',
    'most_clicked_ads',
    'restatement',
    'recounted_minute',
    'partition_progress',
  ];
  for (const table of tables) await engine.clickhouse.command(`TRUNCATE TABLE ${table}`);
  rollUps = createRollUpLoop({ clickhouse: engine.clickhouse, log, listed });
}

interface Cell {
  /** Since `start`. */
  readonly minute: number;
  readonly ad_id: string;
  readonly country: string;
  clicks: number;
  revision: number;
}

/** Some clicks of most ads are invalid, and all clicks of one. The rules change with the hour. */
function judgedOf({ ad_id, minute }: Pick<Cell, 'ad_id' | 'minute'>, clicks: number): Judged {
  if (!ad_id.startsWith('ad-')) return notJudged;
  const invalid = ad_id === 'ad-14' ? clicks : clicks % 4;
  const rules = minute < 60 ? 1 : 2;
  if (invalid === 0) return { rules, invalid, invalid_by: {} };
  const bots = Math.ceil(invalid / 2);
  const rest = invalid - bots;
  return { rules, invalid, invalid_by: { known_bot: bots, ...(rest > 0 && { double_click: rest }) } };
}

function adOf(ad_id: string, cells: readonly Cell[]): AdCount {
  const sum = (of: (cell: Cell) => number) => cells.reduce((total, cell) => total + of(cell), 0);
  return {
    ad_id,
    count: sum(({ clicks }) => clicks),
    duplicates: sum(({ clicks }) => clicks % 3),
    invalid: sum(cell => judgedOf(cell, cell.clicks).invalid),
  };
}

function reasonsOf(cells: readonly Cell[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const cell of cells)
    for (const [reason, n] of Object.entries(judgedOf(cell, cell.clicks).invalid_by))
      sums[reason] = (sums[reason] ?? 0) + n;
  return sums;
}

/** As a sink does. A view copies them to the table by ad. */
async function count(cells: readonly Cell[]): Promise<void> {
  const lines = cells.map(cell => {
    const { minute, ad_id, country, clicks } = cell;
    const { rules, invalid, invalid_by } = judgedOf(cell, clicks);
    const counted = [start / 1_000 + minute * 60, ad_id, country, 0, 1, clicks, clicks % 3, 0];
    return JSON.stringify([...counted, rules, invalid, invalid_by]);
  });
  await engine.clickhouse.insert('ad_minute', lines.join('\n'), judgedColumns);
}

async function finalUntil(minute: number): Promise<void> {
  const at = start + minute * minuteMs;
  const row = { partition: 0, partitions: 1, position: minute, watermark: at, final_until: at, appended_at: at };
  await engine.clickhouse.insert(
    'partition_progress',
    JSON.stringify({ ...row, received: 0, counted: 0, duplicates: 0, quarantined: 0 }),
  );
}

/** All stretches: the last hours, and the rest. */
async function rollUpAll(): Promise<void> {
  let idle = 0;
  // As whoever has restated something does.
  rollUps.wake();
  while (idle < 2) idle = (await rollUps.turn()) === 0 ? idle + 1 : 0;
}

function changeOf(cell: Cell, after: number): CellChange {
  const counts = { partition: 0, duplicates: after % 3, late: 0 };
  return {
    ...{ minute: start / 1_000 + cell.minute * 60, ad_id: cell.ad_id, country: cell.country },
    ...{
      revision: cell.revision + 1,
      before: cell.clicks,
      after,
      before_duplicates: 0,
      after_duplicates: 0,
      ...noneInvalid,
    },
    ...{ stated: [], rows: [{ ...counts, clicks: after }], rows_judged: [judgedOf(cell, after)] },
  };
}

async function restate(cell: Cell, after: number): Promise<void> {
  await restateIn(engine.clickhouse, [changeOf(cell, after)], { job: 'j', reason: 'late', at: Date.now() });
  cell.clicks = after;
  cell.revision++;
}

/** As a job that is killed before it has changed the count. */
async function onlyTell(cell: Cell, after: number): Promise<void> {
  const { rows, ...told } = changeOf(cell, after);
  await engine.clickhouse.insert('restatement', JSON.stringify({ ...told, job: 'j', reason: 'late', at: Date.now() }));
}

const rangeOf = (from: number, to: number, country?: string) => ({
  from: start + from * minuteMs,
  to: start + to * minuteMs,
  isSettled: true,
  country,
});

type Range = ReturnType<typeof rangeOf>;

function within(cells: readonly Cell[], { from, to, country }: Range): Cell[] {
  return cells.filter(cell => {
    const at = start + cell.minute * minuteMs;
    return at >= from && at < to && (country === undefined || cell.country === country);
  });
}

function sumsBy(cells: readonly Cell[], key: (cell: Cell) => string): { key: string; count: number }[] {
  return [...Map.groupBy(cells, key)]
    .map(([key, own]) => ({ key, count: own.reduce((sum, cell) => sum + cell.clicks, 0) }))
    .filter(({ count }) => count > 0)
    .sort((a, b) => b.count - a.count || (a.key < b.key ? -1 : 1));
}

async function expectTruth(cells: readonly Cell[], range: Range, limit: number): Promise<void> {
  const own = within(cells, range);
  const ads = [...Map.groupBy(own, ({ ad_id }) => ad_id)].map(([ad_id, ofAd]) => adOf(ad_id, ofAd));
  for (const clicks of clickKinds)
    expect(await tops.popularAds(limit, { ...range, clicks })).toEqual(topOf(ads, limit, clicks));
  const named = ads[0]?.ad_id ?? 'none';
  const { ad_id, ...sums } = adOf('', own);
  const all = sums.count;
  expect(await groups.totals([], range)).toEqual({ ...sums, late: 0 });
  const reasons = { invalid_by: reasonsOf(own), ...versionsOf(own) };
  expect(await groups.totals([], { ...range, reasons: true })).toEqual({ ...sums, late: 0, ...reasons });
  expect({ ad_id: named, ...(await groups.totals([named], range)) }).toMatchObject(ads[0] ?? { count: 0 });
  const ofNamed = own.filter(cell => cell.ad_id === named);
  expect((await groups.totals([named], { ...range, reasons: true })).invalid_by).toEqual(reasonsOf(ofNamed));
  const byCountry = [...Map.groupBy(own, ({ country }) => country)].map(([name, ofIt]) => adOf(name, ofIt));
  const shown = (await groups.countries([], range)).map(({ country, late, ...row }) => ({ ...row, ad_id: country }));
  expect(shown.toSorted(byId)).toEqual(byCountry.filter(row => row.count + row.duplicates > 0).toSorted(byId));
  const nets = shown.map(row => clicksOf(row, 'net'));
  expect(nets).toEqual(nets.toSorted((a, b) => b - a));
  const hours = sumsBy(own, ({ minute }) => String(Math.floor(minute / 60)));
  const series = (await groups.series([], hourMs, range)).filter(row => row.count > 0);
  expect(new Map(series.map(row => [(row.start - start) / hourMs, row.count]))).toEqual(
    new Map(hours.map(({ key, count }) => [Number(key), count])),
  );
  // Of exactly the minutes asked for, the first and the last step are parts of an hour.
  const asked = { from: `${range.from}`, to: `${range.to}` };
  const { step } = stepsOfRange(asked, 'hour', 'UTC', { now: range.to, maxMinutes: 44_820 });
  const pieces = await groups.series([], step, range);
  expect(new Map(pieces.filter(row => row.count > 0).map(row => [row.start, row.count]))).toEqual(
    new Map(hours.map(({ key, count }) => [Math.max(range.from, start + Number(key) * hourMs), count])),
  );
  const byMinute = (await groups.series([], minuteMs, range)).reduce((sum, row) => sum + row.count, 0);
  expect(byMinute).toBe(all);
  const ofText = await groups.adsByText({ prefix: 'a', text: 'D-1' }, limit, range);
  expect(ofText).toEqual(await groups.adsByPrefix('ad-1', limit, range));
  // A search has ads of which no click is valid, too.
  const clicked = ads.filter(ad => ad.ad_id.startsWith('ad-1') && clicksOf(ad, 'gross') > 0).toSorted(byId);
  expect(ofText).toEqual(clicked.toSorted((a, b) => clicksOf(b, 'net') - clicksOf(a, 'net')).slice(0, limit));
}

function byId(a: AdCount, b: AdCount): number {
  return a.ad_id < b.ad_id ? -1 : 1;
}

/** Without rows, ClickHouse says 0. */
function versionsOf(cells: readonly Cell[]) {
  const versions = cells.map(cell => judgedOf(cell, cell.clicks).rules);
  if (versions.length === 0) return { rules_lowest: 0, rules_highest: 0 };
  return { rules_lowest: Math.min(...versions), rules_highest: Math.max(...versions) };
}

const cellsOf = fc
  .uniqueArray(
    fc.record({
      minute: fc.integer({ min: firstMinute, max: endMinute - 1 }),
      ad_id: fc.integer({ min: 0, max: 14 }).map(n => `ad-${n}`),
      country: fc.constantFrom(...countries),
      clicks: fc.integer({ min: 1, max: 40 }),
    }),
    { minLength: 100, maxLength: 400, selector: cell => `${cell.minute} ${cell.ad_id} ${cell.country}` },
  )
  .map(cells => cells.map((cell): Cell => ({ ...cell, revision: 0 })));

const ranges = fc.array(
  fc
    .tuple(
      fc.integer({ min: firstMinute - 5, max: endMinute + 5 }),
      fc.integer({ min: firstMinute - 5, max: endMinute + 5 }),
      fc.option(fc.constantFrom(...countries), { nil: undefined, freq: 3 }),
    )
    .filter(([a, b]) => a !== b)
    .map(([a, b, country]) => rangeOf(Math.min(a, b), Math.max(a, b), country)),
  { minLength: 2, maxLength: 3 },
);

describe('what is worked out beforehand', () => {
  it('answers as the minutes do, whatever is final, restated or about to be', async () => {
    await fc.assert(
      fc.asyncProperty(
        cellsOf,
        ranges,
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 100, max: endMinute }),
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 60 }), fc.boolean()), { minLength: 1, maxLength: 3 }),
        async (cells, asked, limit, final, changes) => {
          await forget();
          await count(cells);
          await finalUntil(final);
          await rollUpAll();
          for (const range of asked) await expectTruth(cells, range, limit);
          for (const [at, after, isKilled] of changes) {
            const cell = cells[at % cells.length]!;
            if (isKilled) {
              await onlyTell(cell, after);
              await rollUpAll();
              for (const range of asked) await expectTruth(cells, range, limit);
            }
            await restate(cell, after);
            for (const range of asked) await expectTruth(cells, range, limit);
          }
          await rollUpAll();
          for (const range of asked) await expectTruth(cells, range, limit);
        },
      ),
      { numRuns: 3, endOnFailure: true },
    );
  });
});

describe('an hour and its minutes, once they are worked out', () => {
  /** In the hour, before it, and another one in the hour. */
  const cell: Cell = { minute: 70, ad_id: 'a', country: 'KR', clicks: 1, revision: 0 };
  const before: Cell = { ...cell, minute: 58 };
  const other: Cell = { ...cell, minute: 71, ad_id: 'b' };
  const hours = async () => (await directory.plan(rangeOf(60, 120), { hours: true })).hours;

  // Working them out takes seconds: each of these tests begins where the one before ends.
  beforeAll(async () => {
    await forget();
    await count([before, cell, other]);
    await finalUntil(125);
    await rollUpAll();
  });

  it('are used as far as they are final', async () => {
    expect(await directory.plan(rangeOf(58, 140), { hours: true })).toEqual({
      hours: [{ from: start + 60 * minuteMs, to: start + 120 * minuteMs }],
      minutes: [
        { from: start + 58 * minuteMs, to: start + 60 * minuteMs },
        { from: start + 120 * minuteMs, to: start + 125 * minuteMs },
      ],
      rest: [{ from: start + 125 * minuteMs, to: start + 140 * minuteMs }],
    });
  });

  it('are not used when the hour is restated, until it is worked out anew', async () => {
    expect(await hours()).toHaveLength(1);
    await restate(cell, 5);
    expect(await hours()).toEqual([]);
    await rollUpAll();
    expect(await hours()).toHaveLength(1);
  });

  it('are not worked out while a restatement is told and not in the counts, however often it is tried', async () => {
    expect(await hours()).toHaveLength(1);
    await onlyTell(other, 7);
    await rollUpAll();
    expect(await hours()).toEqual([]);
    await restate(other, 7);
    await rollUpAll();
    expect(await hours()).toHaveLength(1);
    expect(await tops.popularAds(1, rangeOf(60, 120))).toEqual([{ ad_id: 'b', count: 7, duplicates: 1, invalid: 0 }]);
  });

  it('are not worked out while a part of the rows of a split ad is restated, as a sink leaves it between two records', async () => {
    const minute = start / 1_000 + 72 * 60;
    const inPartition = (partition: number, revision: number, clicks: number) =>
      engine.clickhouse.insert(
        'ad_minute',
        JSON.stringify([
          ...[minute, 'split', 'KR', partition, `${(BigInt(revision) << 48n) | 5n}`, clicks, 0, 0],
          ...[0, 0, {}],
        ]),
        judgedColumns,
      );
    await inPartition(0, 0, 10);
    await inPartition(1, 0, 10);
    const split: Cell = { minute: 72, ad_id: 'split', country: 'KR', clicks: 20, revision: 0 };
    const { rows, ...told } = changeOf(split, 12);
    const row = { duplicates: 0, late: 0 };
    const both = [
      { ...row, partition: 0, clicks: 12 },
      { ...row, partition: 1, clicks: 0 },
    ];
    const by = { job: 'split', at: Date.now() };
    await engine.clickhouse.insert('restatement', JSON.stringify({ ...told, ...by, rows: both, reason: 'split' }));
    await engine.clickhouse.insert('recounted_minute', JSON.stringify({ ...by, minute, cells: 1, settled: 0 }));
    await inPartition(0, 1, 12);
    await rollUpAll();
    expect(await hours()).toEqual([]);
    await inPartition(1, 1, 0);
    await rollUpAll();
    expect(await hours()).toHaveLength(1);
    expect(await tops.popularAds(1, rangeOf(60, 120))).toMatchObject([{ ad_id: 'split', count: 12 }]);
  });
});

describe('the statements that it takes', () => {
  const cell: Cell = { minute: 70, ad_id: 'a', country: 'KR', clicks: 1, revision: 0 };
  let statements = 0;
  const counted = <T extends (...given: never[]) => unknown>(call: T): T =>
    ((...given) => {
      statements++;
      return call(...given);
    }) as T;

  /** Works out all that is due, and returns how many blocks that were and how many statements it took. */
  async function rollUpCounted(): Promise<{ blocks: number; statements: number }> {
    const { query, command, insert } = engine.clickhouse;
    const clickhouse = {
      ...engine.clickhouse,
      ...{ query: counted(query), command: counted(command), insert: counted(insert) },
    };
    rollUps = createRollUpLoop({ clickhouse, log, listed });
    statements = 0;
    let blocks = 0;
    for (let done = 1; done > 0; blocks += done) done = await rollUps.turn();
    return { blocks, statements };
  }

  it('are fewer than the blocks where there are no clicks, which are worked out all the same', async () => {
    await forget();
    await count([cell]);
    await finalUntil(6 * 60);
    const took = await rollUpCounted();
    expect(took.blocks).toBeGreaterThan(800);
    expect(took.statements).toBeLessThan(took.blocks / 2);
    const planned = await directory.plan(rangeOf(70, 360), { hours: true });
    expect(planned.rest).toEqual([]);
    expect(planned.hours).toEqual([{ from: start + 120 * minuteMs, to: start + 360 * minuteMs }]);
    expect(await tops.popularAds(5, rangeOf(60, 360))).toEqual([{ ad_id: 'a', count: 1, duplicates: 1, invalid: 0 }]);
    expect(await tops.popularAds(5, rangeOf(71, 360))).toEqual([]);
  });

  it('are about one for each window of a minute that is restated', async () => {
    await restate(cell, 5);
    const took = await rollUpCounted();
    expect(took.blocks).toBe(66);
    expect(took.statements).toBeLessThan(1.5 * took.blocks);
    expect(await tops.popularAds(5, rangeOf(60, 360))).toEqual([{ ad_id: 'a', count: 5, duplicates: 2, invalid: 0 }]);
  });
});
