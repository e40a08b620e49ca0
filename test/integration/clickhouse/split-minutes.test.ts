/**
 * Minutes in which an ad was split while rules had caps, on a real ClickHouse with the real job runner: what answers say of
 * them, and that each is restated once, to what the rules say.
 */
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../infra/config.ts';
import type { Http } from '../../../infra/http.ts';
import { migrate } from '../../../infra/migrate.ts';
import { type Click, formatLine } from '../../../ingest/click.ts';
import { buildQueryApi } from '../../../query-api/app.ts';
import { QueryApiConfig } from '../../../query-api/config.ts';
import { JobsConfig } from '../../../query-api/jobs/config.ts';
import { openJobs } from '../../../query-api/jobs/open-jobs.ts';
import { newJob } from '../../../query-api/store/jobs/job.ts';
import { jobsIn, logInto } from '../../support/log-into.ts';
import { noErasures } from '../../support/no-erasures.ts';
import { oneNode } from '../../support/one-node.ts';
import {
  end,
  insertCounted,
  partitions,
  persons,
  splitClicksIn,
  splitRules,
  start,
  together,
} from '../../support/split-ads.ts';
import { openTemporaryClickHouse, type TemporaryClickHouse } from '../../support/temporary-clickhouse.ts';
import { eventually } from '../../support/wait.ts';

const log = pino({ level: process.env['TEST_LOG_LEVEL'] ?? 'silent' });
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const tables = [
  ...['click_raw', 'ad_minute', 'ad_minute_by_ad', 'ad_hour', 'most_clicked_ads', 'partition_progress', 'quarantine'],
  ...['restatement', 'recounted_minute', 'replay_job', 'replay_diff', 'minute_recount'],
];

let engine: TemporaryClickHouse;
let http: Http;
let jobs: AsyncDisposable | undefined;

beforeAll(async () => {
  engine = await openTemporaryClickHouse();
  await migrate(engine.clickhouse, log);
  await engine.clickhouse.command('SYSTEM STOP MERGES');
});
beforeEach(async () => {
  for (const table of tables) await engine.clickhouse.command(`TRUNCATE TABLE ${table}`);
  await final(end);
  http = await buildQueryApi({
    ...{ config: loadConfig(QueryApiConfig, {}), clickhouse: engine.clickhouse, log, now: Date.now, countedLog },
    splitRules,
  });
});
afterEach(async () => {
  await stopJobs();
  await http.close();
});
afterAll(() => engine[Symbol.asyncDispose]());

const countedLog = {
  endOffsets: async () => new Map([[0, 100]]),
  sinkPositions: async () => [],
  rawPositions: async () => new Map(Array.from({ length: partitions }, (_, partition) => [partition, 100])),
  routing: async () => ({ ...splitRules, partitionRules: [] }),
};

function startJobs(): void {
  jobs = openJobs({
    ...{ config: loadConfig(JobsConfig, {}), store: oneNode(engine.clickhouse), ...logInto(engine.clickhouse) },
    ...{ countedLog, splitRules, erasures: noErasures, now: Date.now, log, pace: { scanMs: 100, quietMs: 200 } },
  });
}

async function stopJobs(): Promise<void> {
  await jobs?.[Symbol.asyncDispose]();
  jobs = undefined;
}

async function final(until: number): Promise<void> {
  const rows = Array.from({ length: partitions }, (_, partition) => ({
    ...{
      partition,
      partitions,
      position: 60 + (until - end) / minuteMs,
      watermark: until + 75_000,
      final_until: until,
    },
    ...{ appended_at: until, received: 0, counted: 0, duplicates: 0, quarantined: 0, ids_per_ad_from: 0 },
  }));
  await engine.clickhouse.insert('partition_progress', rows.map(row => JSON.stringify(row)).join('\n'));
}

const counted = (clicks: readonly Click[]) => insertCounted(engine.clickhouse, clicks);
const waiting = (finalUntil = end) => splitClicksIn(engine.clickhouse, finalUntil);
const rowsOf = (query: string) => engine.clickhouse.query<Record<string, unknown>>(query, {});
const get = async (url: string) => (await http.inject(url)).json();
const countOf = async (minute = start) =>
  await get(`/v1/ads/hot/aggregated_count?from=${minute}&to=${minute + minuteMs}&reasons=true`);
const splitJobs = () => rowsOf("SELECT id, state FROM replay_job FINAL WHERE reason = 'split' ORDER BY id");
/** The minutes of all jobs that recount, each as often as it was in one. */
const recountedMinutes = async () => {
  const rows = await rowsOf(
    "SELECT toUnixTimestamp(arrayJoin(minutes)) AS s FROM replay_job FINAL WHERE kind = 'restate' ORDER BY s",
  );
  return rows.map(row => Number(row['s']) * 1_000);
};

/** Lets another process, which knows nothing of the one before, run until the minute `end` is recounted. */
async function recountsTheNextElsewhere(): Promise<void> {
  await eventually('done', async () => (await splitJobs()).every(({ state }) => state === 'done'));
  await stopJobs();
  startJobs();
  await counted(persons(end));
  await final(end + minuteMs);
  await eventually('the next one', async () => (await waiting(end + minuteMs)).minutes.length === 0);
}

describe('a minute of a split ad', () => {
  it('is restated once to what its version of the rules says, and answers tell that until then', async () => {
    const [all, earlier] = [persons(start), persons(start - minuteMs)];
    const stated = await counted([...all, ...earlier]);
    const before = await countOf();
    expect(before).toMatchObject({ state: 'final', pending_late: 0 });
    expect(before.net).toBeGreaterThan(together(all).net);
    expect(before.net - before.pending_split).toBeLessThanOrEqual(together(all).net);
    const { pending_split } = await get('/v1/status');
    expect(pending_split).toMatchObject({ minutes: 2, since: new Date(start - minuteMs).toISOString() });
    const { headers } = await http.inject(`/v1/exports/ad_minutes?from=${start}&to=${end}`);
    expect(headers['x-pending-split']).toBe(String(before.pending_split));

    startJobs();
    await eventually('restated', async () => (await waiting()).minutes.length === 0);
    const version2 = { rules: { lowest: 2, highest: 2 }, state: 'restated' };
    await eventually('and told', async () => (await countOf()).pending_split === 0);
    expect(await countOf()).toMatchObject({ ...together(all), ...version2, pending_split: 0, pending_late: 0 });
    expect(await countOf(start - minuteMs)).toMatchObject({ ...together(earlier), ...version2 });
    expect((await get('/v1/status')).pending_split).toEqual({ clicks: 0, minutes: 0, since: null });
    const { restatements, total } = await get(`/v1/ads/hot/restatements?from=${start}&to=${end}`);
    const { invalid } = together(all);
    expect(restatements).toMatchObject([
      { reason: 'split', before: 24, after: 24, before_rules: 2, after_rules: 2, after_net: 24 - invalid },
    ]);
    expect(total).toMatchObject({ changes: 1, added: 0, added_duplicates: 0 });
    expect(stated).toBeLessThan(2 * invalid);

    await recountsTheNextElsewhere();
    expect(await recountedMinutes()).toEqual([start - minuteMs, start, end]);
  });

  it('in which no cap was exceeded is recounted once and not changed', async () => {
    const all = persons(start).map((one, i) => ({ ...one, userId: `u${i}`, ip: `203.0.113.${i}` }));
    expect(await counted(all)).toBe(0);
    startJobs();
    await eventually('recounted', async () => (await waiting()).minutes.length === 0);
    expect(await countOf()).toMatchObject({ ...together(all), state: 'final', pending_split: 0 });
    await recountsTheNextElsewhere();
    expect(await recountedMinutes()).toEqual([start, end]);
  });

  it('that is not final is left alone, and so is one that a job for late clicks has recounted', async () => {
    const [all, open] = [persons(start), persons(end)];
    await counted([...all, ...open]);
    const late: Click = {
      ...persons(start)[0]!,
      eventId: 'late',
      clickedAt: start + 5,
      clickId: '01KZZZZZZZZZZZZZZZZZZZZZZA',
    };
    const line = {
      ...{
        partition: 2,
        offset: 70,
        line: 0,
        reason: 'too_late',
        detail: '',
        appended_at: Date.now() - hourMs,
        ad_id: 'hot',
      },
      ...{ event_id: late.eventId, clicked_at: late.clickedAt, raw: formatLine(late) },
    };
    await engine.clickhouse.insert('click_raw', formatLine(late));
    await engine.clickhouse.insert('quarantine', JSON.stringify(line));
    startJobs();
    await eventually('counted', async () => (await countOf()).gross === all.length + 1);
    await eventually('nothing waits', async () => (await waiting()).minutes.length === 0);
    expect(await countOf()).toMatchObject(together([...all, late]));
    expect(await countOf(end)).toMatchObject({ state: 'provisional', gross: open.length });
    expect(await recountedMinutes()).toEqual([start]);
  });

  it('is restated with the others when a job has failed, after its pause, and is never lost', async () => {
    await counted(persons(start));
    const store = jobsIn(engine.clickhouse);
    const failed = newJob(
      { kind: 'restate', reason: 'split', apply: true, from: start, to: end, minutes: [start] },
      Date.now() - hourMs,
    );
    await store.save({ ...failed, state: 'failed', updatedAt: Date.now(), seq: 2 });
    expect(await store.failedSplitMinutes(start - hourMs)).toMatchObject([{ minutes: [start] }]);
    // Whatever becomes of jobs, its clicks wait.
    expect((await waiting()).minutes).toEqual([start]);
    await store.save({ ...failed, state: 'failed', updatedAt: Date.now() - hourMs / 2, seq: 3 });
    startJobs();
    await eventually('restated', async () => (await waiting()).minutes.length === 0);
    expect(await countOf()).toMatchObject({ ...together(persons(start)), state: 'restated' });
  });
});
