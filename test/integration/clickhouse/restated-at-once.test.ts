/** All that a job changes in a minute is seen at once, by every answer, on a real ClickHouse: at each step of a job, and while readers ask without pause. */

import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AdMinuteRow } from '../../../aggregator/ad-minute.ts';
import { notJudged } from '../../../aggregator/ad-minute.ts';
import { changeOf } from '../../../aggregator/replay/cell-change.ts';
import type { CellChange } from '../../../aggregator/restatement.ts';
import { loadConfig } from '../../../infra/config.ts';
import type { Http } from '../../../infra/http.ts';
import { migrate } from '../../../infra/migrate.ts';
import { buildQueryApi } from '../../../query-api/app.ts';
import { QueryApiConfig } from '../../../query-api/config.ts';
import { createRestater } from '../../../query-api/jobs/recount/apply-changes.ts';
import { createRollUpLoop } from '../../../query-api/jobs/rollup/roll-up-loop.ts';
import { takeOverFormerRows } from '../../../query-api/jobs/runner/former-rows.ts';
import type { JobEntry } from '../../../query-api/log/job-log.ts';
import { logInto, type TestLog } from '../../support/log-into.ts';
import { openTemporaryClickHouse, type TemporaryClickHouse } from '../../support/temporary-clickhouse.ts';
import { eventually } from '../../support/wait.ts';

const log = pino({ level: process.env['TEST_LOG_LEVEL'] ?? 'silent' });
const minuteMs = 60_000;
const start = Math.floor(Date.now() / 3_600_000) * 3_600_000 - 2 * 3_600_000;
const ads = Array.from({ length: 40 }, (_, i) => `ad-${i}`);
const countries = ['DE', 'KR', 'US'];
const partitions = 3;
/** Every cell has as many clicks, whichever round it is of. */
const cellsOfAd = countries.length * partitions;
const tables = ['ad_minute', 'ad_minute_by_ad', 'restatement', 'recounted_minute', 'partition_progress'];

let engine: TemporaryClickHouse;
let http: Http;
let toLog: TestLog;

beforeAll(async () => {
  engine = await openTemporaryClickHouse();
  toLog = logInto(engine.clickhouse);
  await migrate(engine.clickhouse, log);
  const countedLog = { endOffsets: async () => new Map([[0, 100]]), sinkPositions: async () => [] };
  const config = loadConfig(QueryApiConfig, { QUERY_API_RATE_LIMIT_PER_MINUTE: '0' });
  http = await buildQueryApi({ config, clickhouse: engine.clickhouse, log, now: Date.now, countedLog });
});
beforeEach(async () => {
  for (const table of [...tables, 'most_clicked_ads', 'ad_hour'])
    await engine.clickhouse.command(`TRUNCATE TABLE ${table}`);
  await insert('partition_progress', progressRow);
  await insert('ad_minute', ...countedRows());
});
afterAll(async () => {
  await http.close();
  await engine[Symbol.asyncDispose]();
});

const insert = (table: string, ...rows: readonly object[]) =>
  engine.clickhouse.insert(table, rows.map(row => JSON.stringify(row)).join('\n'));

const progressRow = {
  ...{ partition: 0, partitions: 1, position: 60, watermark: start + 7_200_000, final_until: start + 7_200_000 },
  ...{ appended_at: start, received: 0, counted: 0, duplicates: 0, quarantined: 0 },
};

/** One click in each cell of two minutes, in each of several partitions, as of an ad that was split. */
function countedRows(): AdMinuteRow[] {
  return [0, 1].flatMap(minute =>
    ads.flatMap(ad_id =>
      countries.flatMap(country =>
        Array.from({ length: partitions }, (_, partition) => ({
          ...{ minute: start / 1_000 + 60 * minute, ad_id, country, partition, version: 50 },
          ...{ clicks: 1, duplicates: 0, late: 0, ...notJudged },
        })),
      ),
    ),
  );
}

/** Every cell of the first minute from `round` times its first clicks to one more. */
function changesAfter(round: number): CellChange[] {
  return ads.flatMap(ad_id =>
    countries.map(country => {
      const cell = { minute: start / 1_000, ad_id, country };
      const stated = Array.from({ length: partitions }, (_, partition) => ({
        ...{ ...cell, partition, revision: round - 1, duplicates: 0, late: 0, ...notJudged },
        clicks: round === 1 ? 1 : partition === 0 ? round * partitions : 0,
      }));
      const clicks = (round + 1) * partitions;
      return changeOf({ ...cell, partition: 0, clicks, duplicates: 0, ...notJudged }, stated)!;
    }),
  );
}

const restaterOf = (job: string, at: () => number = Date.now) =>
  createRestater({ job, reason: 'late', readUntil: new Map(), now: at });

/** In the order in which a sink inserts it, each part seen by itself. */
function said(job: string, changes: readonly CellChange[], at?: () => number): JobEntry[] {
  const restater = restaterOf(job, at);
  restater.stage(changes, []);
  return restater.take();
}
const write = (entries: readonly JobEntry[]) => toLog.jobLog.write(entries);
const settleFormer = () => takeOverFormerRows({ clickhouse: engine.clickhouse, ...toLog, log });

interface Seen {
  /** How many times its first clicks each count had; more than one: not of one moment. */
  readonly rounds: readonly number[];
  readonly state: string;
}

const get = async (url: string) => {
  const { statusCode, body } = await http.inject(url);
  if (statusCode !== 200) throw new Error(`${url}: ${statusCode} ${body}`);
  return JSON.parse(body);
};
const minute = `from=${start}&to=${start + minuteMs}`;
const bothMinutes = `from=${start}&to=${start + 2 * minuteMs}`;

/** What each kind of answer says of the first minute. */
const answers: Readonly<Record<string, () => Promise<Seen>>> = {
  async count() {
    const { count, state } = await get(`/v1/ads/ad-7/aggregated_count?${minute}`);
    return { rounds: [count / cellsOfAd], state };
  },
  async 'count in a country'() {
    const { count, state } = await get(`/v1/ads/ad-7/aggregated_count?${minute}&country=KR`);
    return { rounds: [count / partitions], state };
  },
  async 'top list'() {
    const { ads: listed, state } = await get(`/v1/ads/popular_ads?${minute}`);
    return { rounds: listed.map(({ count }: { count: number }) => count / cellsOfAd), state };
  },
  // With the minute beside it, whose list and sums are worked out beforehand.
  async 'top list of two minutes'() {
    const { ads: listed, state } = await get(`/v1/ads/popular_ads?${bothMinutes}`);
    return { rounds: listed.map(({ count }: { count: number }) => count / cellsOfAd - 1), state };
  },
  async 'countries of two minutes'() {
    const { countries: listed, state } = await get(`/v1/ads/countries?${bothMinutes}`);
    const perCountry = partitions * ads.length;
    return { rounds: listed.map(({ count }: { count: number }) => count / perCountry - 1), state };
  },
  async 'top list as stored'() {
    const { ads: listed, state } = await get(`/v1/ads/most_clicked?at=${start + minuteMs}`);
    return { rounds: listed.map(({ count }: { count: number }) => count / cellsOfAd), state };
  },
  async 'series of an ad'() {
    const { points, state } = await get(`/v1/ads/ad-7/series?${bothMinutes}`);
    expect(points[1]).toMatchObject({ count: cellsOfAd, state: 'final' });
    expect(points[0].state).toBe(state);
    return { rounds: [points[0].count / cellsOfAd], state };
  },
  async 'series of several and of all'() {
    const named = await get(`/v1/ads/series?ad_id=ad-1&ad_id=ad-39&${minute}`);
    const all = await get(`/v1/ads/series?${minute}`);
    const seen = named.series.map(({ count }: { count: number }) => count / cellsOfAd);
    if (all.state !== named.state) return { rounds: seen, state: named.state };
    return { rounds: seen, state: all.state };
  },
  async 'all ads'() {
    const { series, state } = await get(`/v1/ads/series?${minute}`);
    return { rounds: [series[0].count / cellsOfAd / ads.length], state };
  },
  async countries() {
    const { countries: listed, state } = await get(`/v1/ads/countries?${minute}`);
    const perCountry = partitions * ads.length;
    return { rounds: listed.map(({ count }: { count: number }) => count / perCountry), state };
  },
  async 'search of ads'() {
    const { ads: listed, state } = await get(`/v1/ads?prefix=ad-&limit=100&${minute}`);
    return { rounds: listed.map(({ count }: { count: number }) => count / cellsOfAd), state };
  },
  async export() {
    const { body } = await http.inject(`/v1/exports/ad_minutes?format=ndjson&${minute}`);
    const rows: { ad_id: string; clicks: number; state: string }[] = body
      .trim()
      .split('\n')
      .map(line => JSON.parse(line));
    const sums = Map.groupBy(rows, row => row.ad_id);
    expect(sums.size).toBe(ads.length);
    const rounds = [...sums.values()].map(of => of.reduce((sum, { clicks }) => sum + clicks, 0) / cellsOfAd);
    const states = [...new Set(rows.map(({ state }) => state))];
    return { rounds, state: states.join() };
  },
};

async function expectRound(round: number): Promise<void> {
  for (const [name, ask] of Object.entries(answers)) {
    const { rounds, state } = await ask();
    expect([name, state, [...new Set(rounds)]]).toEqual([name, round === 1 ? 'final' : 'restated', [round]]);
  }
}

describe('the changes of a minute', () => {
  it('are in no answer before the one row that makes them visible, and then in all of them, at whichever step the sink dies', async () => {
    await using rollUps = createRollUpLoop({ clickhouse: engine.clickhouse, log });
    while ((await rollUps.turn()) > 0);
    await expectRound(1);
    const [restatement, recountedMinute, adMinute, settledMinute] = said('dies', changesAfter(1));
    if (!restatement || !recountedMinute || !adMinute || !settledMinute) throw new Error('nothing said');
    await write([restatement]);
    await expectRound(1);
    await write([recountedMinute]);
    await expectRound(2);

    // Some of the rows are copied, in one of the tables.
    await insert('ad_minute_by_ad', ...adMinute.rows.slice(0, 150));
    await expectRound(2);
    await write([adMinute]);
    await expectRound(2);
    await write([settledMinute]);
    await expectRound(2);
    for (const table of ['ad_minute', 'ad_minute_by_ad']) {
      const [sum] = await engine.clickhouse.query<{ n: number }>(
        `SELECT sum(clicks) AS n FROM ${table} FINAL WHERE minute = toDateTime(${start / 1_000}, 'UTC')
         SETTINGS output_format_json_quote_64bit_integers=0`,
      );
      expect([table, sum?.n]).toEqual([table, 2 * cellsOfAd * ads.length]);
    }
    // A sink that dies before its commit begins anew.
    for (const part of [restatement, recountedMinute, adMinute, settledMinute]) {
      await write([part]);
      await expectRound(2);
    }
    rollUps.wake();
    while ((await rollUps.turn()) > 0);
    await expectRound(2);
  });

  it('are left alone that a job has told and never made visible, also when another job tells of the same counts', async () => {
    await write(said('never', changesAfter(1), () => start + 1).slice(0, 1));
    await write(said('next', changesAfter(1).slice(0, 1)));
    const count = async (ad: string) => await get(`/v1/ads/${ad}/aggregated_count?${minute}`);
    expect(await count('ad-0')).toMatchObject({ count: cellsOfAd + partitions, state: 'restated' });
    expect(await count('ad-1')).toMatchObject({ count: cellsOfAd, state: 'final' });
    expect((await get(`/v1/ads/ad-1/restatements?${minute}`)).restatements).toEqual([]);
    expect((await get(`/v1/ads/ad-0/restatements?${minute}`)).restatements).toMatchObject([{ job: 'next' }]);
  });

  it('are copied by who runs the jobs where a release before has left them visible and not copied', async () => {
    const former = said('former', changesAfter(1));
    await write(former.slice(0, 1));
    // Told, and not to be seen: a replica may lag.
    await insert('recounted_minute', { ...former[1]?.rows[0], cells: ads.length * countries.length + 1 });
    await expect(settleFormer()).rejects.toThrow('121 changes are visible, but 120 of them are in table restatement');
    await write(former.slice(1, 2));
    await engine.clickhouse.command('OPTIMIZE TABLE recounted_minute FINAL');
    await settleFormer();
    await expectRound(2);
    for (const table of ['ad_minute', 'ad_minute_by_ad']) {
      const [sum] = await engine.clickhouse.query(
        `SELECT sum(clicks) AS n FROM ${table} FINAL WHERE minute = toDateTime(${start / 1_000}, 'UTC')
         SETTINGS output_format_json_quote_64bit_integers=0`,
      );
      expect([table, sum]).toEqual([table, { n: 2 * cellsOfAd * ads.length }]);
    }
    const [left] = await engine.clickhouse.query(
      'SELECT toUInt32(count()) AS n FROM recounted_minute FINAL WHERE settled = 0',
    );
    expect(left).toEqual({ n: 0 });
  });

  it('are in as_of exactly from then on, also while they are not copied', async () => {
    const before = Date.now();
    await new Promise(resolve => setTimeout(resolve, 5));
    const [told, ...others] = said('j', changesAfter(1));
    await write(told ? [told] : []);
    await new Promise(resolve => setTimeout(resolve, 5));
    const asOf = async (at: number) => await get(`/v1/ads/ad-7/aggregated_count?${minute}&as_of=${at}`);
    expect(await asOf(Date.now())).toMatchObject({ count: cellsOfAd, state: 'final' });
    await write(others);
    expect(await asOf(before)).toMatchObject({ count: cellsOfAd, state: 'final' });
    expect(await asOf(Date.now())).toMatchObject({ count: 2 * cellsOfAd, state: 'restated' });
    // As if they were not copied yet.
    await engine.clickhouse.command('TRUNCATE TABLE ad_minute_by_ad');
    await engine.clickhouse.command('TRUNCATE TABLE ad_minute');
    await insert('ad_minute', ...countedRows());
    const rows = await engine.clickhouse.query<object>(
      `SELECT toUnixTimestamp(minute) AS minute, toUnixTimestamp64Milli(at) AS at, job, cells, read_until
       FROM (SELECT * FROM recounted_minute FINAL) SETTINGS output_format_json_quote_64bit_integers=0`,
    );
    await engine.clickhouse.command('TRUNCATE TABLE recounted_minute');
    await insert('recounted_minute', ...rows.map(row => ({ ...row, settled: 0 })));
    expect(await asOf(before)).toMatchObject({ count: cellsOfAd, state: 'final' });
    expect(await asOf(Date.now())).toMatchObject({ count: 2 * cellsOfAd, state: 'restated' });
  });

  it('leave to as_of how many clicks were late then, whether they have added clicks, taken some away or judged them anew', async () => {
    const cell = { minute: start / 1_000, ad_id: 'ad-late', country: 'KR', partition: 0, duplicates: 0, ...notJudged };
    // What is counted after each of them, and by which rules. Those of the first are the stream's.
    const history = [
      { clicks: 10, rules: 0, late: 3 },
      { clicks: 8, rules: 0, late: 3 },
      { clicks: 14, rules: 0, late: 9 },
      { clicks: 6, rules: 0, late: 6 },
      { clicks: 9, rules: 0, late: 9 },
      { clicks: 9, rules: 1, late: 9 },
    ];
    await insert('ad_minute', { ...cell, ...history[0], version: 50 });
    const rows: object[] = [{ ...cell, ...history[0], revision: 0 }];
    const moments: number[] = [];
    for (const [revision, { clicks, rules, late }] of history.entries()) {
      if (revision === 0) continue;
      const change = changeOf({ ...cell, clicks, rules }, [rows.at(-1) as never])!;
      expect(change).toMatchObject({ revision, rows: [{ clicks, late }] });
      const entries = said(`job-${revision}`, [change]);
      const [row] = entries[0]?.rows ?? [];
      moments.push((row as { at: number }).at);
      await write(entries);
      rows.push({ ...cell, clicks, rules, late, revision });
    }
    const asOf = async (revision: number) => {
      const at = moments[revision - 1] ?? (moments[0] ?? 0) - 1;
      const { count, late } = await get(`/v1/ads/ad-late/aggregated_count?${minute}&as_of=${at}`);
      return { count, late };
    };
    for (const [revision, { clicks, late }] of history.entries())
      expect([revision, await asOf(revision)]).toEqual([revision, { count: clicks, late }]);
    const now = await get(`/v1/ads/ad-late/aggregated_count?${minute}`);
    expect(now).toMatchObject({ count: 9, late: 9, state: 'restated' });
  });

  it('are on a page of restatements and in its total, or in neither, when they become visible between two statements', async () => {
    const [told, ...others] = said('j', changesAfter(1));
    await write(told ? [told] : []);
    const { clickhouse } = engine;
    const summedUp = Promise.withResolvers<void>();
    let isVisible = false;
    const between = async (statement: string, ...rest: never[]) => {
      if (statement.includes('after_net')) await summedUp.promise;
      const rows = await (clickhouse.query as (...all: unknown[]) => Promise<never[]>)(statement, ...rest);
      if (!statement.includes('AS added_net') || isVisible) return rows;
      isVisible = true;
      await write(others);
      summedUp.resolve();
      return rows;
    };
    const countedLog = { endOffsets: async () => new Map([[0, 100]]), sinkPositions: async () => [] };
    const slow = { ...clickhouse, query: between as typeof clickhouse.query };
    const app = await buildQueryApi({
      ...{ config: loadConfig(QueryApiConfig, {}), clickhouse: slow, log, now: Date.now, countedLog },
    });
    try {
      const { body } = await app.inject({ url: `/v1/ads/ad-0/restatements?${minute}` });
      const { total, restatements } = JSON.parse(body);
      expect([isVisible, total.changes, restatements.length]).toEqual([true, countries.length, countries.length]);
    } finally {
      await app.close();
    }
  });
});

describe('readers that ask without pause', () => {
  it('see whole rounds only, none before another, and each with its state', async () => {
    const [leastRounds, mostRounds, leastReads] = [8, 100, 5];
    let rounds = 0;
    const kinds = Object.entries(answers).filter(([name]) => !name.startsWith('series of several'));
    let isOver = false;
    let newest = 1;
    const asked = new Map<string, number>();
    const answered = () => [...asked.values()].reduce((sum, n) => sum + n, 0);
    const ask = async (name: string, question: () => Promise<Seen>) => {
      for (let n = 1; !isOver; n++) {
        const atLeast = newest;
        const { rounds: seen, state } = await question();
        const [round = 0, ...others] = [...new Set(seen)];
        expect([name, seen.length > 0, others, Number.isInteger(round)]).toEqual([name, true, [], true]);
        expect([name, round, state]).toEqual([name, round, round === 1 ? 'final' : 'restated']);
        expect(round).toBeGreaterThanOrEqual(atLeast);
        newest = Math.max(newest, round);
        asked.set(name, n);
      }
    };
    const restate = async () => {
      // What is worked out beforehand, and what merges do, goes on meanwhile.
      await using rollUps = createRollUpLoop({ clickhouse: engine.clickhouse, log, pauseMs: 50 });
      rollUps.start();
      try {
        const isEnough = () => kinds.every(([name]) => (asked.get(name) ?? 0) >= leastReads);
        for (let round = 1; round <= leastRounds || (round <= mostRounds && !isEnough()); round++) {
          await write(said(`job-${round}`, changesAfter(round)));
          if (round % 4 === 0) await engine.clickhouse.command('OPTIMIZE TABLE ad_minute FINAL');
          rounds = round;
          // As often as a job makes changes visible; it waits for ClickHouse, and so does this where the machine is busy.
          const before = answered();
          await new Promise(resolve => setTimeout(resolve, 500));
          await eventually('answers', async () => isOver || answered() >= before + kinds.length);
        }
      } finally {
        isOver = true;
      }
    };
    const asking = kinds.map(([name, question]) =>
      ask(name, question).finally(() => {
        isOver = true;
      }),
    );
    await Promise.all([restate(), ...asking]);
    await expectRound(rounds + 1);
  });
});
