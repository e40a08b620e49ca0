/** What the tables answer for rows that were inserted more than once, on a real ClickHouse. */

import fc from 'fast-check';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AdMinuteRow, Progress } from '../../../aggregator/ad-minute.ts';
import { notJudged } from '../../../aggregator/ad-minute.ts';
import { Retryable } from '../../../infra/errors.ts';
import { migrate } from '../../../infra/migrate.ts';
import { createQueries, type Queries } from '../../../query-api/store/ad-counts.ts';
import { createGroupQueries, type GroupQueries } from '../../../query-api/store/group-counts.ts';
import { createRawQueries } from '../../../query-api/store/raw-counts.ts';
import { openTemporaryClickHouse, type TemporaryClickHouse } from '../../support/temporary-clickhouse.ts';

const minuteMs = 60_000;
/** Two minutes before midnight: ranges cross from one partition of the table into the next. */
const start = Date.parse('2025-11-22T23:58:00Z');

let engine: TemporaryClickHouse;
let queries: Queries;
let groups: GroupQueries;

beforeAll(async () => {
  engine = await openTemporaryClickHouse();
  await migrate(engine.clickhouse, pino({ level: 'silent' }));
  // What merges do in the background must not decide a test: every copy stays where it is.
  await engine.clickhouse.command('SYSTEM STOP MERGES');
  queries = createQueries(engine.clickhouse, { timeoutMs: 10_000 });
  groups = createGroupQueries(engine.clickhouse, { timeoutMs: 10_000 });
});
beforeEach(async () => {
  for (const table of ['ad_minute', 'ad_minute_by_ad', 'partition_progress', 'quarantine']) {
    await engine.clickhouse.command(`TRUNCATE TABLE ${table}`);
  }
});
afterAll(() => engine[Symbol.asyncDispose]());

const row = (ad_id: string, minute: number, clicks: number, fields: Partial<AdMinuteRow> = {}): AdMinuteRow => ({
  minute: start / 1_000 + minute * 60,
  ad_id,
  country: 'KR',
  partition: 0,
  version: 1,
  clicks,
  duplicates: 0,
  late: 0,
  ...notJudged,
  ...fields,
});

async function insert(...rows: readonly AdMinuteRow[]): Promise<void> {
  const lines = rows.map(line => JSON.stringify(line)).join('\n');
  await engine.clickhouse.insert('ad_minute', lines);
  await engine.clickhouse.insert('ad_minute_by_ad', lines);
}

const minutes = (from: number, to: number, country?: string) => ({
  from: start + from * minuteMs,
  to: start + to * minuteMs,
  isSettled: true,
  country,
});

describe('a key that was inserted more than once', () => {
  it('counts once, with its highest version, whatever the order of the inserts', async () => {
    await insert(row('a', 0, 5, { version: 20, duplicates: 2, late: 1 }));
    await insert(row('a', 0, 3, { version: 10, duplicates: 9, late: 9 }));
    await insert(row('a', 0, 5, { version: 20, duplicates: 2, late: 1 }));
    expect(await groups.totals(['a'], minutes(0, 1))).toEqual({ count: 5, duplicates: 2, late: 1, invalid: 0 });
    expect(await queries.popularAds(10, minutes(0, 1))).toEqual([{ ad_id: 'a', count: 5, duplicates: 2, invalid: 0 }]);
    expect(await groups.series(['a'], minuteMs, minutes(0, 1))).toEqual([
      { ad_id: 'a', start, count: 5, duplicates: 2, late: 1, invalid: 0 },
    ]);
  });

  it('is gone from the top list when its highest version says zero', async () => {
    await insert(row('a', 0, 5, { version: 10 }), row('b', 0, 1));
    await insert(row('a', 0, 0, { version: 2 ** 48 }));
    expect(await queries.popularAds(10, minutes(0, 1))).toEqual([{ ad_id: 'b', count: 1, duplicates: 0, invalid: 0 }]);
    expect(await groups.totals(['a'], minutes(0, 1))).toEqual({ count: 0, duplicates: 0, late: 0, invalid: 0 });
  });

  it('is told of missing clicks that a person has written off, by partition, and of no seals', async () => {
    const seal = (source: string, partition: number, since: number, missing: number) => ({
      ...{ source, partition, since, until: since, counted: 0, duplicates: 0, quarantined: 0, missing },
      ...{ kept_until: 0, note: 'the roll of 3 June', at: start },
    });
    const seals = [seal('accepted', 1, 1, 30), seal('accepted', 1, 2, 4), seal('ad_minute', 1, 3, 7)];
    await engine.clickhouse.insert('conservation_seal', seals.map(row => JSON.stringify(row)).join('\n'));
    expect(await queries.writtenOff()).toEqual(new Map([[1, 34]]));
  });

  it('counts once as progress too: the furthest position', async () => {
    const at = (position: number): Progress => ({
      partition: 3,
      partitions: 4,
      position,
      watermark: start + position,
      final_until: 0,
      appended_at: start,
      received: position,
      counted: position,
      duplicates: 0,
      quarantined: 0,
      acknowledged: position,
      missing: 0,
      invalid: 0,
      ids_per_ad_from: start,
    });
    for (const position of [7, 9, 8])
      await engine.clickhouse.insert('partition_progress', JSON.stringify(at(position)));
    expect(await queries.progress()).toEqual([at(9)]);
  });

  it('counts once in the quarantine', async () => {
    const line = (offset: number, reason: string) =>
      JSON.stringify({
        partition: 0,
        offset,
        line: 0,
        reason,
        detail: '',
        appended_at: start,
        ad_id: '',
        event_id: '',
        clicked_at: 0,
        raw: '{',
      });
    for (const rows of [`${line(1, 'malformed')}\n${line(2, 'too_late')}`, line(1, 'malformed'), line(3, 'too_late')]) {
      await engine.clickhouse.insert('quarantine', rows);
    }
    expect(await queries.quarantineByReason()).toEqual([
      { reason: 'malformed', lines: 1 },
      { reason: 'too_late', lines: 2 },
    ]);
  });
});

describe('a range', () => {
  it('holds its first minute and not its last, across midnight too', async () => {
    await insert(row('a', -1, 1), row('a', 0, 10), row('a', 1, 100), row('a', 2, 1_000), row('a', 3, 10_000));
    expect((await groups.totals(['a'], minutes(0, 3))).count).toBe(1_110);
    expect(await queries.popularAds(10, minutes(0, 3))).toEqual([
      { ad_id: 'a', count: 1_110, duplicates: 0, invalid: 0 },
    ]);
    expect((await groups.series(['a'], minuteMs, minutes(0, 3))).map(point => point.count)).toEqual([10, 100, 1_000]);
  });

  it('without rows counts nothing', async () => {
    expect(await groups.totals(['a'], minutes(0, 1))).toEqual({ count: 0, duplicates: 0, late: 0, invalid: 0 });
    expect(await queries.popularAds(10, minutes(0, 1))).toEqual([]);
    expect(await groups.series(['a'], minuteMs, minutes(0, 1))).toEqual([]);
  });

  it('sums up by hour and day of UTC', async () => {
    await insert(row('a', 0, 1), row('a', 1, 2), row('a', 2, 4), row('a', 62, 8));
    const hour = 60 * minuteMs;
    const hours = await groups.series(['a'], hour, {
      from: start - 58 * minuteMs,
      to: start + 122 * minuteMs,
      country: undefined,
      isSettled: true,
    });
    const midnight = start + 2 * minuteMs;
    expect(hours.map(point => [point.start, point.count])).toEqual([
      [midnight - hour, 3],
      [midnight, 4],
      [midnight + hour, 8],
    ]);
    const days = await groups.series(['a'], 24 * hour, {
      from: midnight - 24 * hour,
      to: midnight + 24 * hour,
      country: undefined,
      isSettled: true,
    });
    expect(days.map(point => [point.start, point.count])).toEqual([
      [midnight - 24 * hour, 3],
      [midnight, 12],
    ]);
  });
});

describe('a country', () => {
  it('filters every count', async () => {
    await insert(
      row('a', 0, 5, { country: 'KR' }),
      row('a', 0, 7, { country: 'DE' }),
      row('b', 0, 6, { country: 'KR' }),
    );
    expect((await groups.totals(['a'], minutes(0, 1))).count).toBe(12);
    expect((await groups.totals(['a'], minutes(0, 1, 'DE'))).count).toBe(7);
    expect(await queries.popularAds(10, minutes(0, 1, 'KR'))).toEqual([
      { ad_id: 'b', count: 6, duplicates: 0, invalid: 0 },
      { ad_id: 'a', count: 5, duplicates: 0, invalid: 0 },
    ]);
    expect((await groups.series(['a'], minuteMs, minutes(0, 1, 'KR'))).map(point => point.count)).toEqual([5]);
  });
});

describe('a top list', () => {
  it('breaks ties by ad_id, also at its end', async () => {
    await insert(...['b', 'B', 'a10', 'a9', 'c'].map(ad => row(ad, 0, 3)), row('z', 0, 4));
    const ads = await queries.popularAds(4, minutes(0, 1));
    expect(ads.map(ad => ad.ad_id)).toEqual(['z', 'B', 'a10', 'a9']);
  });

  it('equals the list computed from the statements themselves, whatever was inserted how often in which order', async () => {
    const statement = fc.record({
      ad_id: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
      minute: fc.integer({ min: 0, max: 4 }).map(n => start / 1_000 + n * 60),
      country: fc.constantFrom('KR', 'DE'),
      partition: fc.integer({ min: 0, max: 1 }),
      version: fc.integer({ min: 1, max: 5 }),
    });
    const batches = fc.array(fc.array(statement, { minLength: 1, maxLength: 20 }), { minLength: 1, maxLength: 5 });
    const property = fc.asyncProperty(
      batches,
      fc.integer({ min: 1, max: 6 }),
      fc.constantFrom(undefined, 'KR'),
      async (keys, limit, country) => {
        await engine.clickhouse.command('TRUNCATE TABLE ad_minute');
        const current = new Map<string, AdMinuteRow>();
        for (const batch of keys) {
          const rows = batch.map(key => ({ ...key, ...countsOf(key), duplicates: 0, late: 0, ...notJudged }));
          for (const line of rows) {
            const key = [line.minute, line.ad_id, line.country, line.partition].join();
            if ((current.get(key)?.version ?? 0) < line.version) current.set(key, line);
          }
          await engine.clickhouse.insert('ad_minute', rows.map(line => JSON.stringify(line)).join('\n'));
        }
        const selection = minutes(1, 4, country);
        expect(await queries.popularAds(limit, selection)).toEqual(topOf([...current.values()], limit, selection));
      },
    );
    await fc.assert(property, { numRuns: 40 });
  });
});

/** As the core says it: a version of a key always states the same counts. */
function countsOf(key: { ad_id: string; minute: number; version: number; country: string }) {
  const seed = key.ad_id.charCodeAt(0) * 31 + (key.minute / 60) * 7 + key.version * 13 + key.country.charCodeAt(0);
  return { clicks: seed % 4 };
}

function topOf(rows: readonly AdMinuteRow[], limit: number, { from, to, country }: ReturnType<typeof minutes>) {
  const counts = new Map<string, number>();
  for (const line of rows) {
    const at = line.minute * 1_000;
    if (at < from || at >= to || (country !== undefined && line.country !== country)) continue;
    counts.set(line.ad_id, (counts.get(line.ad_id) ?? 0) + line.clicks);
  }
  return [...counts]
    .filter(([, count]) => count > 0)
    .map(([ad_id, count]) => ({ ad_id, count, duplicates: 0, invalid: 0 }))
    .sort((a, b) => b.count - a.count || (a.ad_id < b.ad_id ? -1 : 1))
    .slice(0, limit);
}

describe('every read', () => {
  it('ends when its time is up', async () => {
    const impatient = createQueries(engine.clickhouse, { timeoutMs: 1 });
    const rows = Array.from({ length: 200_000 }, (_, i) => JSON.stringify(row(`ad-${i}`, i % 100, 1)));
    await engine.clickhouse.insert('ad_minute', rows.join('\n'));
    await expect(impatient.popularAds(100, minutes(0, 100))).rejects.toBeInstanceOf(Retryable);
    const raw = createRawQueries(engine.clickhouse, { timeoutMs: 1 });
    const wanted = { from: start, to: start + 100 * minuteMs, isSettled: true, adIds: [], filter: [], uniques: false };
    await expect(raw.popularAds(100, wanted)).rejects.toBeInstanceOf(Retryable);
  });

  it('takes an ad_id as a value, whatever stands in it', async () => {
    const ad = "x' OR 1 = 1 --";
    await insert(row('a', 0, 5), row(ad, 0, 2));
    expect((await groups.totals([ad], minutes(0, 1))).count).toBe(2);
  });
});
