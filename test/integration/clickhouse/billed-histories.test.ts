/**
 * What is billed stays what it was, or a restatement says by how much it has changed: random histories on a real ClickHouse,
 * with the real core, sinks, erasers and jobs. What must be billed is counted apart (test/support/billed-clicks.ts).
 *
 * `HISTORIES=30 FROM=100` runs thirty of them from seed 100 on.
 */
import { isDeepStrictEqual } from 'node:util';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkReplicas } from '../../../query-api/jobs/replicas/replica-check.ts';
import { ads, end, hourMs, start } from '../../support/billed-clicks.ts';
import { type History, openHistory } from '../../support/billed-history.ts';
import { openNodes } from '../../support/billed-nodes.ts';
import { range } from '../../support/billed-pipeline.ts';
import { startTestClickHouse, type TestClickHouse } from '../../support/clickhouse.ts';

const log = pino({ level: process.env['TEST_LOG_LEVEL'] ?? 'silent' });
const [histories, from] = [Number(process.env['HISTORIES'] ?? 4), Number(process.env['FROM'] ?? 1)];
const seeds = Array.from({ length: histories }, (_, i) => from + i);
let server: TestClickHouse;

beforeAll(async () => {
  server = await startTestClickHouse();
});
afterAll(() => server[Symbol.asyncDispose]());

type Sums = Readonly<Record<'net' | 'gross' | 'invalid' | 'duplicates', number>>;
const sumsOf = (rows: readonly Sums[]) => {
  const sum = (of: keyof Sums) => rows.reduce((all, row) => all + row[of], 0);
  return { net: sum('net'), gross: sum('gross'), invalid: sum('invalid'), duplicates: sum('duplicates') };
};

/** Each answer and export is made of the same rows, and these are what must be billed. */
async function expectBilled({ pipeline, expected }: History): Promise<void> {
  const { get } = pipeline;
  const rows = (await pipeline.lines(`/v1/exports/ad_minutes?${range}&format=ndjson`)).map(line => JSON.parse(line));
  const cells = Map.groupBy(rows, row => `${Date.parse(row.minute) / 1_000}|${row.ad_id}|${row.country}`);
  const found = [...cells].map(([key, of]) => {
    const [clicks, invalid] = [of.reduce((sum, row) => sum + row.clicks, 0), sumsOf(of).invalid];
    return `${key} ${clicks} ${invalid}`;
  });
  expect(found.filter(cell => !cell.endsWith(' 0 0')).sort()).toEqual(expected());
  const all = sumsOf(rows);
  expect(all.gross).toBe(all.duplicates + all.invalid + all.net);
  for (const granularity of ['minute', 'hour', 'day'])
    for (const zone of granularity === 'minute' ? [''] : ['', '&timezone=Asia/Kolkata']) {
      const { series } = await get(`/v1/ads/series?${range}&granularity=${granularity}${zone}`);
      const points = series.flatMap((of: { points: Sums[] }) => of.points);
      expect([granularity, zone, sumsOf(points)]).toEqual([granularity, zone, all]);
    }
  expect(sumsOf((await get(`/v1/ads/countries?${range}`)).countries)).toEqual(all);
  const { ads: top } = await get(`/v1/ads/popular_ads?${range}&clicks=gross`);
  expect(sumsOf(top)).toMatchObject({ net: all.net, gross: all.gross });
  expect(sumsOf(Object.values(await pipeline.shown()))).toEqual(all);
}

/** Nobody who was erased is left, everybody is still one user, and the nodes are equal. */
async function expectErased(history: History): Promise<void> {
  const { pipeline, nodes: both, erased, came } = history;
  await history.allErased();
  for (const { clickhouse, name } of both) {
    const [left] = await clickhouse.query<{ clicks: string; lines: string }>(
      `SELECT (SELECT count() FROM click_raw WHERE user_id IN {users:Array(String)}) AS clicks,
         (SELECT count() FROM quarantine WHERE JSONExtractString(raw, 'user_id') IN {users:Array(String)}) AS lines`,
      { users: [...erased] },
    );
    expect([name, Number(left?.clicks), Number(left?.lines)]).toEqual([name, 0, 0]);
  }
  for (const ad of ads) {
    const { uniques } = await pipeline.get(`/v1/ads/${ad}/aggregated_count?${range}&uniques=true`);
    const first = Map.groupBy(
      came.filter(({ adId }) => adId === ad),
      ({ clickedAt, eventId }) => `${clickedAt} ${eventId}`,
    );
    const users = new Set([...first.values()].flatMap(([one]) => (one?.userId ? [one.userId] : [])));
    expect([ad, uniques.count]).toEqual([ad, users.size]);
  }
  const found = await checkReplicas(
    { nodes: both, level: async () => undefined, areErasuresOpen: async () => false, now: Date.now },
    { from: start - hourMs, to: end + 24 * hourMs },
  );
  expect(found.differences.map(({ table, hour }) => [table, hour])).toEqual([]);
}

/** A row that somebody changes by hand is found, and a write-off closes exactly what it says. */
async function expectGuarded({ pipeline, nodes: [{ clickhouse }], differences, random }: History): Promise<void> {
  // Clicks that nobody has made, or valid ones that nobody pays for any more.
  const outcome = random.pick(['counted', 'invalid'] as const);
  const [clicks, invalid] = outcome === 'counted' ? [2, 0] : [0, 2];
  const rows = await clickhouse.query<{ minute: number; ad_id: string; country: string; partition: number }>(
    `SELECT toUnixTimestamp(minute) AS minute, ad_id, country::String AS country, partition FROM ad_minute FINAL
     WHERE clicks > 0 ORDER BY ALL`,
  );
  const row = random.pick(rows);
  await clickhouse.command(
    `INSERT INTO ad_minute (minute, ad_id, country, partition, version, clicks, duplicates, late, rules_given,
       invalid_given, invalid_by_given)
     SELECT minute, ad_id, country, partition, version + 1, clicks + {clicks:UInt8}, duplicates, late, rules,
       invalid + {invalid:UInt8}, invalid_by
     FROM (SELECT *, rules, invalid, invalid_by FROM ad_minute FINAL) WHERE toUnixTimestamp(minute) = {minute:UInt32}
       AND ad_id = {ad_id:String} AND country = {country:String} AND partition = {partition:UInt16}`,
    { ...row, clicks, invalid },
  );
  const { partition } = row;
  // Sealed hours are looked at in turn.
  const seen = async (difference: number) => {
    const wanted = difference === 0 ? [] : [{ partition, outcome, difference }];
    let found = await differences();
    for (let look = 0; look < 12 && !isDeepStrictEqual(found, wanted); look++) found = await differences();
    expect(found).toEqual(wanted);
  };
  await seen(2);
  const { result } = await pipeline.job('reconciliations', { from: start, to: end });
  expect(result.cells_differing + result.invalid.cells_differing).toBeGreaterThan(0);
  const none = { counted: 0, duplicates: 0, quarantined: 0, missing: 0, invalid: 0 };
  const stretch = { source: 'accepted', partition, note: 'by hand', at: Date.now(), logged: 1 };
  for (const [i, left] of [1, 0].entries()) {
    await pipeline.toLog.requests.append('seal', [{ ...stretch, since: i, until: i, ...none, [outcome]: -1 }]);
    await seen(left);
  }
}

/** Raw clicks and lines have expired, and then counts: nothing that was told changes before, and the books are balanced. */
async function expectLasting(history: History): Promise<void> {
  const { pipeline, nodes: both, differences } = history;
  for (const { clickhouse } of both)
    for (const table of ['click_raw', 'quarantine']) await clickhouse.command(`TRUNCATE TABLE ${table}`);
  pipeline.clock.aheadMs = 36 * 24 * hourMs;
  await pipeline.restartRunner();
  await expect(pipeline.call('POST', '/v1/replays', { from: start, to: end, apply: true })).rejects.toThrow('34 days');
  if (history.isErasing) await history.happen('erasure');
  await history.remember();
  await history.told();
  await expectBilled(history);
  expect(await differences()).toEqual([]);
  for (const { clickhouse } of both)
    for (const table of ['ad_minute', 'ad_minute_by_ad']) await clickhouse.command(`TRUNCATE TABLE ${table}`);
  pipeline.clock.aheadMs = 401 * 24 * hourMs;
  expect(await differences()).toEqual([]);
}

// They mostly wait, each in databases of its own.
describe.concurrent('what is billed', () => {
  it.each(seeds)('holds through history %i', async seed => {
    await using nodes = await openNodes(server, `h${seed}`, log);
    await using history = await openHistory(seed, nodes.nodes, log);
    await history.begin();
    const done: string[] = [];
    try {
      for (const name of history.happenings()) {
        done.push(name);
        await history.happen(name);
        await history.pipeline.quiet();
        await history.remember();
        await history.told();
      }
      done.push('the end');
      await expectBilled(history);
      await history.reconciled();
      expect(await history.differences()).toEqual([]);
      await expectErased(history);
      await history.reconciled();
      done.push('retention');
      if (seed % 2 === 0) await expectLasting(history);
      else await expectGuarded(history);
    } catch (error) {
      throw new Error(`seed ${seed}, after ${done.join(', ')}: ${(error as Error).message}`, { cause: error });
    }
  });
});
