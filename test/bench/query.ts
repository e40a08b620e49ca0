/**
 * How fast the query API answers over HTTP on a day of counts, quiet and while clicks come in, and what a bulk export
 * costs in memory. Every answer is checked against sums known by construction (query-rows.ts).
 * `npm run bench:query -- --help`.
 */
import { fork } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type ClickHouse, openClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { loadConfig } from '../../infra/config.ts';
import { listen } from '../../infra/http.ts';
import { createLog } from '../../infra/log.ts';
import { migrate } from '../../infra/migrate.ts';
import { buildQueryApi } from '../../query-api/app.ts';
import { QueryApiConfig } from '../../query-api/config.ts';
import { createRollUpLoop } from '../../query-api/jobs/rollup/roll-up-loop.ts';
import { openTemporaryClickHouse } from '../support/temporary-clickhouse.ts';
import { type BenchRow, percentile, rowOf, tell } from './bench-row.ts';
import { costOf } from './process-cost.ts';
import { adNameOf, fillRows, hotTotals, minuteMs, minuteTotal, type RowPlan, slotsOf } from './query-rows.ts';

const { values: options } = parseArgs({
  options: {
    ads: { type: 'string', default: '2000000' },
    rows: { type: 'string', default: '20000000' },
    requests: { type: 'string', default: '60' },
    json: { type: 'string' },
    asker: { type: 'boolean' },
    help: { type: 'boolean' },
  },
});
if (options.help) {
  console.log(`npm run bench:query -- [options]
  --ads N        (2,000,000)       --rows N     of counts, over 25 h (20,000,000)
  --requests N   of each kind (60) --json FILE  results for programs`);
  process.exit(0);
}

interface Question {
  readonly name: string;
  readonly path: string;
  /** ms at the median. */
  readonly goal: number;
  readonly check?: (body: Body) => boolean;
}

/** What is looked at of an answer. */
interface Body {
  readonly ads?: readonly { readonly ad_id: string; readonly count: number }[];
  readonly points?: readonly { readonly count: number }[];
  readonly series?: readonly { readonly count: number }[];
  readonly countries?: readonly { readonly count: number }[];
}

interface Asked {
  /** Sorted. */
  readonly ms: readonly number[];
  readonly body: string;
}

if (options.asker) answerAsks();
else await measure();

/** A process of its own, so that asking and answering do not share an event loop. */
function answerAsks(): void {
  process.on('message', async ({ url, requests }: { url: string; requests: number }) => {
    const ms: number[] = [];
    let body = '';
    for (let i = 0; i < requests; i++) {
      const begin = performance.now();
      const answer = await fetch(url);
      body = await answer.text();
      ms.push(performance.now() - begin);
      if (answer.ok) continue;
      body = `${answer.status} ${body}`;
      break;
    }
    process.send?.({ ms: ms.sort((a, b) => a - b), body } satisfies Asked);
  });
}

async function measure(): Promise<void> {
  await using server = await openTemporaryClickHouse();
  const { clickhouse } = server;
  const config = loadConfig(QueryApiConfig, {});
  await using ofApi = openClickHouse(server.config, { readers: config.QUERY_READERS });
  const log = createLog('bench', 'error');
  await migrate(clickhouse, log);
  const minutes = 25 * 60;
  const end = Math.floor(Date.now() / minuteMs) * minuteMs;
  const plan: RowPlan = {
    ads: Number(options.ads),
    rows: Number(options.rows),
    minutes,
    from: end - minutes * minuteMs,
  };
  await timed(`${options.rows} count rows made`, () => fillRows(clickhouse, plan));
  await setProgress(clickhouse, end);
  await timed('top lists and hours worked out', () => rollUpAll(clickhouse));
  const http = await buildQueryApi({
    ...{ config, clickhouse: ofApi, log },
    now: () => end + 20_000,
    countedLog: { endOffsets: async () => new Map([[0, 1]]), sinkPositions: async () => [] },
  });
  const url = await listen(http, '127.0.0.1', 0);
  const asker = fork(import.meta.filename, ['--asker']);
  const ask = async (path: string, requests: number): Promise<Asked> => {
    const { promise, resolve } = Promise.withResolvers<Asked>();
    asker.once('message', answer => resolve(answer as Asked));
    asker.send({ url: `${url}${path}`, requests });
    return await promise;
  };
  const questions = [...goals(plan, end), ...views(plan, end)];
  const rows: BenchRow[] = [];
  const quiet = await askAll('quiet', questions, ask, rows);
  {
    await using _ = load(clickhouse, 10_000, end);
    await askAll('10000 clicks/s', questions, ask, rows, quiet);
  }
  rows.push(...(await exportsCost(url, plan, end)));
  asker.kill();
  await http.close();
  tell(rows, options.json);
}

async function timed(what: string, run: () => Promise<unknown>): Promise<void> {
  const begin = Date.now();
  await run();
  console.log(`${what} in ${((Date.now() - begin) / 1_000).toFixed(1)} s`);
}

async function setProgress(clickhouse: ClickHouse, end: number): Promise<void> {
  const at = { watermark: end - 15_000, final_until: end - 2 * minuteMs, appended_at: end };
  const none = { received: 0, counted: 0, duplicates: 0, quarantined: 0 };
  const row = { partition: 0, partitions: 1, position: 1, ...at, ...none };
  await clickhouse.insert('partition_progress', JSON.stringify(row));
}

async function rollUpAll(clickhouse: ClickHouse): Promise<void> {
  await using loop = createRollUpLoop({ clickhouse, log: createLog('bench', 'error') });
  for (let idle = 0; idle < 3; ) idle = (await loop.turn()) === 0 ? idle + 1 : 0;
}

function goals(plan: RowPlan, end: number): Question[] {
  const top = (minutes: number) => (body: Body) =>
    isTop(body.ads, hotTotals(plan.minutes - minutes, plan.minutes).slice(0, 100));
  const day = `from=${end - 1_440 * minuteMs}&to=${end}`;
  const ad = adNameOf(7);
  const adCount = hotTotals(plan.minutes - 1_440, plan.minutes).find(({ ad_id }) => ad_id === ad)?.count;
  return [
    { name: 'top 100 of 1 min', path: '/v1/ads/popular_ads?window=1', goal: 8, check: top(1) },
    { name: 'top 100 of 1 h', path: '/v1/ads/popular_ads?window=60', goal: 50, check: top(60) },
    { name: 'top 100 of 24 h', path: '/v1/ads/popular_ads?window=1440', goal: 100, check: top(1_440) },
    {
      ...{ name: 'one ad over 24 h by minute', path: `/v1/ads/${ad}/series?${day}&granularity=minute`, goal: 10 },
      check: ({ points = [] }) => points.length === 1_440 && sum(points) === adCount,
    },
    {
      ...{ name: 'top 100 of 1 h as of 10 h ago', path: `/v1/ads/most_clicked?at=${end - 600 * minuteMs}&window=60` },
      goal: 10,
      check: ({ ads }) => isTop(ads, hotTotals(plan.minutes - 660, plan.minutes - 600).slice(0, 100)),
    },
  ];
}

/** What the views of the dashboard ask for. */
function views(plan: RowPlan, end: number): Question[] {
  const hour = 60 * minuteMs;
  const lastHour = `from=${end + minuteMs - hour}&to=${end + minuteMs}`;
  const dayEnd = Math.floor(end / hour) * hour + hour;
  const day = `from=${dayEnd - 24 * hour}&to=${dayEnd}`;
  const ad = `ad_id=${adNameOf(7)}`;
  const ofDay = (at: number) => Math.max(0, (at - plan.from) / minuteMs);
  let clicks = 0;
  for (let minute = ofDay(dayEnd - 24 * hour); minute < plan.minutes; minute++) clicks += minuteTotal(plan, minute);
  const paths: readonly (readonly [string, string, Question['check']?])[] = [
    ['clicks, 1 h', `/v1/ads/series?${lastHour}&granularity=minute&compare=previous`],
    // What comes in meanwhile is of the running minute.
    [
      'clicks, 24 h',
      `/v1/ads/series?${day}&granularity=hour&compare=previous`,
      ({ series }) => (series?.[0]?.count ?? 0) >= clicks,
    ],
    ['countries, 1 h', `/v1/ads/countries?${lastHour}`],
    ['countries, 24 h', `/v1/ads/countries?${day}`, ({ countries = [] }) => sum(countries) >= clicks],
    ['top ads, running minute', `/v1/ads/popular_ads?from=${end}&to=${end + minuteMs}&count=12`],
    ['top ads, 1 h', `/v1/ads/popular_ads?${lastHour}&count=12`],
    ['top ads, 24 h', `/v1/ads/popular_ads?${day}&count=12`],
    ['one ad, 1 h', `/v1/ads/series?${ad}&${lastHour}&granularity=minute&compare=previous`],
    ['one ad, 24 h', `/v1/ads/series?${ad}&${day}&granularity=hour&compare=previous`],
    ['one ad, countries, 24 h', `/v1/ads/countries?${ad}&${day}`],
    ['one ad, restatements', `/v1/ads/${adNameOf(7)}/restatements?${day}`],
    ['one ad, quarantine', `/v1/quarantine?${ad}&limit=50`],
    ['ad search', '/v1/ads?limit=12'],
    ['ad search by prefix', '/v1/ads?prefix=ad-000012&limit=12'],
    ['status', '/v1/status'],
    ['quarantine', '/v1/quarantine?limit=25'],
    ['replays', '/v1/replays'],
    ['reconciliations', '/v1/reconciliations'],
    ['metrics', '/metrics'],
  ];
  return paths.map(([name, path, check]) => ({ name: `view: ${name}`, path, goal: 30, ...(check && { check }) }));
}

async function askAll(
  state: string,
  questions: readonly Question[],
  ask: (path: string, requests: number) => Promise<Asked>,
  rows: BenchRow[],
  quiet?: ReadonlyMap<string, number>,
): Promise<Map<string, number>> {
  const medians = new Map<string, number>();
  for (const { name, path, goal, check } of questions) {
    await ask(path, 3);
    const { ms, body } = await ask(path, Number(options.requests));
    if (/^\d{3} /.test(body)) throw new Error(`${path}: ${body}`);
    if (check && !check(JSON.parse(body))) throw new Error(`${path}: not the true answer: ${body.slice(0, 300)}`);
    const [p50, p99] = [percentile(ms, 0.5), percentile(ms, 0.99)];
    medians.set(name, p50);
    const before = quiet?.get(name);
    const beside = before === undefined ? { name: 'goal', value: goal } : { name: 'quiet', value: before };
    rows.push(rowOf(`query, ${name}, ${state}, p50`, p50, 'ms', beside));
    rows.push(rowOf(`query, ${name}, ${state}, p99`, p99, 'ms', { name: 'p50', value: p50 }));
    const judged = `${p50 <= goal ? 'within' : 'MISSES'} ${goal} ms`;
    console.log(
      `${state}: ${name}: p50 ${p50.toFixed(1)} ms, ${judged}, p99 ${p99.toFixed(1)}; load ${loadavg()[0]?.toFixed(1)}`,
    );
  }
  return medians;
}

/** What so many clicks make of inserts: all of them raw, and a count row for every other, twice a second. */
function load(clickhouse: ClickHouse, clicksPerSecond: number, end: number): AsyncDisposable {
  const stop = new AbortController();
  let version = 2;
  const insert = async () => {
    const clicks = Array.from({ length: clicksPerSecond / 2 }, (_, i) => {
      const id = `${String(version).padStart(12, '0')}${String(i).padStart(14, '0')}`;
      const ad_id = adNameOf(Math.floor(Number(options.ads) ** Math.random()) - 1);
      return {
        click_id: id,
        event_id: id,
        ad_id,
        clicked_at: end + (i % 60_000),
        received_at: end + 60_000,
        country: 'KR',
      };
    });
    await clickhouse.insert('click_raw', clicks.map(click => JSON.stringify(click)).join('\n'));
    const cells = new Set(clicks.filter((_, i) => i % 2 === 0).map(({ ad_id }) => ad_id));
    const counts = [...cells].map(ad_id =>
      JSON.stringify({
        ...{ minute: end / 1_000, ad_id, country: 'KR', partition: 0, version: version, clicks: version },
        ...{ duplicates: 0, late: 0 },
      }),
    );
    await clickhouse.insert('ad_minute', counts.join('\n'));
    version++;
  };
  const run = async () => {
    while (!stop.signal.aborted) {
      const due = performance.now() + 500;
      await insert();
      await sleep(Math.max(0, due - performance.now()));
    }
  };
  const running = run();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

/** The peak of this process, which is the store's, over exports of 12 h of counts. */
async function exportsCost(url: string, plan: RowPlan, end: number): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  const path = `/v1/exports/ad_minutes?from=${end - 720 * minuteMs}&to=${end}`;
  for (const format of ['csv', 'ndjson', 'parquet']) {
    // The kernel's peak begins anew.
    writeFileSync('/proc/self/clear_refs', '5');
    const [before, begin] = [process.memoryUsage().rss / 2 ** 20, performance.now()];
    const { body } = await fetch(`${url}${path}&format=${format}`);
    let [bytes, lines] = [0, 0];
    for await (const piece of body ?? []) {
      bytes += piece.length;
      if (format !== 'parquet') for (const byte of piece) if (byte === 10) lines++;
    }
    const expected = 720 * slotsOf(plan) + (format === 'csv' ? 1 : 0);
    if (format !== 'parquet' && lines !== expected) throw new Error(`${format}: ${lines} lines, not ${expected}`);
    const seconds = (performance.now() - begin) / 1_000;
    const name = `export of ${720 * slotsOf(plan)} rows as ${format}`;
    rows.push(rowOf(`${name}, size`, bytes / 2 ** 20, 'MB'), rowOf(name, (720 * slotsOf(plan)) / seconds, 'rows/s'));
    const peak = costOf(process.pid).peakMb;
    rows.push(rowOf(`${name}, peak memory`, peak, 'MB', { name: 'before', value: before }));
    console.log(
      `${name}: ${(bytes / 2 ** 20).toFixed(0)} MB in ${seconds.toFixed(1)} s, ${before.toFixed(0)} → ${peak.toFixed(0)} MB`,
    );
  }
  return rows;
}

function isTop(found: Body['ads'], expected: readonly { ad_id: string; count: number }[]): boolean {
  const key = ({ ad_id, count }: { ad_id: string; count: number }) => `${ad_id} ${count}`;
  return found?.map(key).join() === expected.map(key).join();
}

function sum(points: readonly { count: number }[]): number {
  return points.reduce((total, { count }) => total + count, 0);
}
