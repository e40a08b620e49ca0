/**
 * How long late clicks wait beside a long job: `node test/bench/late-beside.ts [--perMinute 1500] [--replays 0] [--late 3]`.
 * On a ClickHouse of its own, with a day of raw clicks and their counts in it. Replays of the whole
 * day, as many as told, and a reconciliation of it are asked for; then late clicks of another day come, one minute of them a round, and each round
 * tells how long it took until they were counted. Without the broker: what is measured is the order of jobs.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { loadConfig } from '../../infra/config.ts';
import { migrate } from '../../infra/migrate.ts';
import { formatLine } from '../../ingest/click.ts';
import { buildQueryApi } from '../../query-api/app.ts';
import { QueryApiConfig } from '../../query-api/config.ts';
import { JobsConfig } from '../../query-api/jobs/config.ts';
import { openJobs } from '../../query-api/jobs/open-jobs.ts';
import { click } from '../support/clicks.ts';
import { logInto } from '../support/log-into.ts';
import { noErasures } from '../support/no-erasures.ts';
import { oneNode } from '../support/one-node.ts';
import { scriptOptions } from '../support/script-options.ts';
import { openTemporaryClickHouse } from '../support/temporary-clickhouse.ts';

const { values } = scriptOptions(import.meta.filename, {
  options: {
    perMinute: { type: 'string', default: '1500' },
    replays: { type: 'string', default: '0' },
    late: { type: 'string', default: '3' },
  },
});
const perMinute = Number(values.perMinute);
const dayMs = 86_400_000;
const minuteMs = 60_000;
const day = Math.floor(Date.now() / dayMs) * dayMs - dayMs;
const partitions = 4;

const log = pino({ level: process.env['LOG_LEVEL'] ?? 'silent' });
await using engine = await openTemporaryClickHouse();
const { clickhouse } = engine;
await migrate(clickhouse, log);
await fill();

const countedLog = {
  endOffsets: async () => new Map([[0, 100]]),
  sinkPositions: async () => [],
  rawPositions: async () => new Map(Array.from({ length: partitions }, (_, partition) => [partition, 100])),
};
const config = loadConfig(QueryApiConfig, {});
const { jobLog, requests } = logInto(clickhouse);
const http = await buildQueryApi({ config, clickhouse, log, now: Date.now, countedLog, requests });
const begunAt = Date.now();
const range = { from: day, to: day + dayMs };
for (let i = 0; i < Number(values.replays); i++) await post('/v1/replays', range);
const reconciliation = await post('/v1/reconciliations', range);
const jobs = openJobs({
  config: loadConfig(JobsConfig, {}),
  store: oneNode(clickhouse),
  jobLog,
  requests,
  countedLog,
  erasures: noErasures,
  now: Date.now,
  log,
});
await sleep(3_000);
for (let round = 0; round < Number(values.late); round++) {
  const minute = day - 2 * dayMs + round * minuteMs;
  const late = Array.from({ length: 20 }, (_, i) => click({ clickedAt: minute + i, adId: `late_${i % 2}` }));
  await clickhouse.insert('click_raw', late.map(formatLine).join('\n'));
  await insert(
    'quarantine',
    late.map((line, i) => lateLine(line, round * 100 + i)),
  );
  const at = Date.now();
  const count = async () => (await get(`/v1/ads/late_1/aggregated_count?from=${minute}&to=${minute + minuteMs}`)).count;
  while ((await count()) !== 10) await sleep(100);
  const { state, minutes_done: done } = await get(`/v1/reconciliations/${reconciliation}`);
  const { replays } = await get('/v1/replays');
  const open = replays.filter((job: { state: string }) => ['queued', 'running'].includes(job.state)).length;
  console.log(
    `late clicks counted after ${seconds(at)} s; open: ${open} replays; the reconciliation is ${state}, ${done} minutes done`,
  );
}
for (;;) {
  const { state, result } = await get(`/v1/reconciliations/${reconciliation}`);
  if (state === 'done') {
    console.log(`the reconciliation of a day: ${seconds(begunAt)} s, ${JSON.stringify(result).slice(0, 100)}`);
    break;
  }
  await sleep(200);
}
await jobs[Symbol.asyncDispose]();
await http.close();

async function fill(): Promise<void> {
  const rows = 1_440 * perMinute;
  await clickhouse.command(
    `INSERT INTO click_raw (click_id, event_id, ad_id, clicked_at, received_at, country)
     SELECT leftPad(toString(number), 26, '0'), toString(number), concat('ad_', toString(intHash32(number) % 500)),
       fromUnixTimestamp64Milli(toInt64(${day} + intDiv(number, ${perMinute}) * 60000 + number % 60000), 'UTC') AS at, at,
       if(number % 2 = 0, 'KR', 'DE')
     FROM numbers(${rows})`,
  );
  const counts = `SELECT toStartOfMinute(clicked_at) AS minute, ad_id, country, 0, 50, count(), 0, 0 FROM click_raw
    GROUP BY minute, ad_id, country`;
  for (const table of ['ad_minute', 'ad_minute_by_ad']) await clickhouse.command(`INSERT INTO ${table} ${counts}`);
  const until = day + dayMs;
  await insert(
    'partition_progress',
    Array.from({ length: partitions }, (_, partition) => ({
      ...{ partition, partitions, position: 60, watermark: until + 75_000, final_until: until, appended_at: until },
      ...{ received: 0, counted: 0, duplicates: 0, quarantined: 0 },
    })),
  );
}

function lateLine(line: ReturnType<typeof click>, offset: number) {
  return {
    ...{ partition: 0, offset, line: 0, reason: 'too_late', detail: 'its minute was final', appended_at: Date.now() },
    ...{ ad_id: line.adId, event_id: line.eventId, clicked_at: line.clickedAt, raw: formatLine(line) },
  };
}

async function insert(table: string, rows: readonly object[]): Promise<void> {
  await clickhouse.insert(table, rows.map(row => JSON.stringify(row)).join('\n'));
}

async function post(url: string, payload: object): Promise<string> {
  const response = await http.inject({ method: 'POST', url, payload });
  if (response.statusCode !== 202) throw new Error(`${url}: ${response.statusCode} ${response.body}`);
  return response.json().id;
}

async function get(url: string) {
  return (await http.inject(url)).json();
}

function seconds(since: number): string {
  return ((Date.now() - since) / 1_000).toFixed(1);
}
