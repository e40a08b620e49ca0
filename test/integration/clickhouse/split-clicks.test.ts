/**
 * Minutes in which an ad was split while rules had caps, on a real ClickHouse with the real job runner: which of them
 * wait, what answers say of them until then, and that each is restated once, to what the rules say.
 */
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AdMinuteRow } from '../../../aggregator/ad-minute.ts';
import { judgedColumns } from '../../../aggregator/ad-minute.ts';
import { loadConfig } from '../../../infra/config.ts';
import type { Http } from '../../../infra/http.ts';
import { migrate } from '../../../infra/migrate.ts';
import { type Click, formatLine, splitPartitionOf } from '../../../ingest/click.ts';
import type { RulesVersion } from '../../../ingest/validity/rule-set.ts';
import { noRules, type ValidityRules } from '../../../ingest/validity/rules.ts';
import { buildQueryApi } from '../../../query-api/app.ts';
import { QueryApiConfig } from '../../../query-api/config.ts';
import { JobsConfig } from '../../../query-api/jobs/config.ts';
import { openJobs } from '../../../query-api/jobs/open-jobs.ts';
import { newJob } from '../../../query-api/store/jobs/job.ts';
import { createSplitClicks } from '../../../query-api/store/split-clicks.ts';
import type { SplitRules } from '../../../query-api/store/split-minutes.ts';
import { click } from '../../support/clicks.ts';
import { judgedLinesOf } from '../../support/counted-clicks.ts';
import { invalidOfCell, sumOf } from '../../support/judged-clicks.ts';
import { jobsIn, logInto } from '../../support/log-into.ts';
import { oneNode } from '../../support/one-node.ts';
import { openTemporaryClickHouse, type TemporaryClickHouse } from '../../support/temporary-clickhouse.ts';
import { eventually } from '../../support/wait.ts';

const log = pino({ level: process.env['TEST_LOG_LEVEL'] ?? 'silent' });
const partitions = 4;
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const now = Math.floor(Date.now() / minuteMs) * minuteMs;
/** The last final minute, and the one after it. */
const start = now - 30 * hourMs;
const end = start + minuteMs;

const none = noRules.rules;
const strict: ValidityRules = { ...none, double_click_seconds: 10, user_clicks_per_minute: 3 };
const version = (n: number, from: number, rules: ValidityRules): RulesVersion => ({
  ...{ version: n, from, rules, holds: true, ruleId: `${n}`.padStart(26, '0'), note: '', by: 'somebody' },
  announcedAt: 0,
});
/** Version 1 has no caps, the minutes are judged by version 2, and version 3 would let nothing through. */
const versions = [
  version(1, now - 80 * hourMs, { ...none, known_bot: true }),
  version(2, now - 70 * hourMs, strict),
  version(3, now - hourMs, { ...strict, user_clicks_per_minute: 1, double_click_seconds: 60 }),
];
const splitRules: SplitRules = {
  rules: [{ ruleId: '0'.repeat(26), adId: 'hot', from: now - 60 * hourMs, until: now }],
  versions,
  rulesKnownUntil: Number.POSITIVE_INFINITY,
};
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
    ...{ countedLog, splitRules, now: Date.now, log, pace: { scanMs: 100, quietMs: 200 } },
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

/** Clicks of two persons of which each has several in a step, with event ids that lie in several partitions. */
function persons(minute: number, adId = 'hot'): Click[] {
  return Array.from({ length: 24 }, (_, i) =>
    click({
      ...{ adId, eventId: `${minute}-${i}`, clickedAt: minute + Math.floor(i / 4) * 10_000 + i, country: 'KR' },
      ...{ userId: `u${i % 2}`, ip: `203.0.113.${i % 2}` },
    }),
  );
}

/** Inserts clicks as sinks have done it after the aggregators have judged those of each partition by themselves. */
async function counted(clicks: readonly Click[], { rules = strict, by = 2, isSplit = true } = {}): Promise<number> {
  const placeOf = ({ eventId }: Click) => (isSplit ? splitPartitionOf(eventId, partitions) : 1);
  const rows = [
    ...Map.groupBy(clicks, one => JSON.stringify([one.clickedAt - (one.clickedAt % minuteMs), one.adId, placeOf(one)])),
  ].map(([key, own]): AdMinuteRow => {
    const [minute, ad_id, partition] = JSON.parse(key);
    const invalid_by = invalidOfCell(own, rules);
    return {
      ...{ minute: minute / 1_000, ad_id, country: 'KR', partition, version: 50, clicks: own.length },
      ...{ duplicates: 0, late: 0, rules: by, invalid: sumOf(invalid_by), invalid_by },
    };
  });
  await engine.clickhouse.insert('click_raw', clicks.map(formatLine).join('\n'));
  await engine.clickhouse.insert('ad_minute', judgedLinesOf(rows), judgedColumns);
  return rows.reduce((sum, { invalid }) => sum + invalid, 0);
}

const waiting = async (finalUntil: number | null = end, rules = splitRules) =>
  await createSplitClicks({ clickhouse: engine.clickhouse, splitRules: rules, now: Date.now })(finalUntil);
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
/** What the second statement of the rules says of these clicks when it has them together. */
const truth = (clicks: readonly Click[], rules = strict) => {
  const invalid_by = invalidOfCell(clicks, rules);
  return { gross: clicks.length, net: clicks.length - sumOf(invalid_by), invalid: sumOf(invalid_by), invalid_by };
};

describe('clicks of split ads', () => {
  it('wait in final minutes that have valid ones in several partitions, under a version with caps', async () => {
    const all = persons(start);
    const stated = await counted(all);
    const tooFew = truth(all).invalid - stated;
    expect(tooFew).toBeGreaterThan(0);
    const found = await waiting();
    expect(found.minutes).toEqual([start]);
    // It is the most by which the number can change, and in fact it changes by less.
    expect(found.clicks).toBeGreaterThanOrEqual(tooFew);
    expect(found.clicks).toBeLessThan(all.length - stated);
    const range = { from: start, to: end };
    expect([found.of([])(range), found.of(['hot'])(range), found.of(['other'])(range)]).toEqual([
      found.clicks,
      found.clicks,
      0,
    ]);
    expect(found.of([])({ from: start - minuteMs, to: start })).toBe(0);
    // No earlier moment knows of it.
    expect((await waiting(start)).minutes).toEqual([]);
    expect((await waiting(null)).minutes).toEqual([]);
  });

  it.each([
    ['of which no ad is split', { isSplit: false }],
    ['that were counted by no rules', { by: 0, rules: none }],
    ['that were counted by rules without caps', { by: 1, rules: none }],
  ])('do not wait in minutes %s', async (_, how) => {
    await counted(persons(start), how);
    expect((await waiting()).minutes).toEqual([]);
  });

  it('do not wait where those of all partitions but one are invalid', async () => {
    const [one, ...others] = persons(start);
    const cell = { minute: start / 1_000, ad_id: 'hot', country: 'KR', version: 50, duplicates: 0, late: 0, rules: 2 };
    const rows = [
      { ...cell, partition: 0, clicks: 1, invalid: 0, invalid_by: {} },
      {
        ...cell,
        partition: 1,
        clicks: others.length,
        invalid: others.length,
        invalid_by: { known_bot: others.length },
      },
      { ...cell, partition: 2, country: 'DE', clicks: 5, invalid: 0, invalid_by: {} },
    ] as const;
    await engine.clickhouse.insert('click_raw', [one!, ...others].map(formatLine).join('\n'));
    await engine.clickhouse.insert('ad_minute', judgedLinesOf(rows), judgedColumns);
    expect((await waiting()).minutes).toEqual([]);
  });

  it('are not known in minutes of which this process has not heard which ads were split', async () => {
    await counted(persons(start));
    const found = await waiting(end, { ...splitRules, rulesKnownUntil: start });
    expect([found.of([])({ from: start, to: end }), found.of([])({ from: start - hourMs, to: start })]).toEqual([
      null,
      0,
    ]);
    const unheard = await waiting(end, { rules: [], versions: [], rulesKnownUntil: Number.NEGATIVE_INFINITY });
    expect(unheard.of([])({ from: start, to: end })).toBeNull();
    expect(unheard.of([])({ from: end, to: end + minuteMs })).toBe(0);
  });

  it('are looked for once in each minute, and after that only as long as some wait', async () => {
    const asked: string[] = [];
    const { clickhouse } = engine;
    const listening = {
      ...clickhouse,
      query: (async (sql: string, ...rest: never[]) => {
        asked.push(/FROM (ad_minute_by_ad|recounted_minute)/.exec(sql)?.[1] ?? sql);
        return await (clickhouse.query as (...all: unknown[]) => Promise<never[]>)(sql, ...rest);
      }) as typeof clickhouse.query,
    };
    const read = createSplitClicks({ clickhouse: listening, splitRules, now: Date.now, keepMs: 0 });
    await counted(persons(start));
    await read(end);
    expect(asked).toContain('ad_minute_by_ad');
    asked.length = 0;
    expect((await read(end)).minutes).toEqual([start]);
    expect(asked).toEqual(['recounted_minute']);
    await engine.clickhouse.insert(
      'recounted_minute',
      JSON.stringify({ minute: start / 1_000, at: now, job: 'j', cells: 0, read_until: { 0: 1 }, settled: 1 }),
    );
    expect((await read(end)).minutes).toEqual([]);
    asked.length = 0;
    await read(end + 59_999);
    expect(asked).toEqual([]);
    await read(end + minuteMs);
    expect(asked).toEqual(['recounted_minute', 'ad_minute_by_ad']);
    // Nothing at all where no ad is split, or rules have no caps.
    asked.length = 0;
    for (const of of [
      { ...splitRules, rules: [] },
      { ...splitRules, versions: versions.slice(0, 1) },
    ])
      await createSplitClicks({ clickhouse: listening, splitRules: of, now: Date.now })(end);
    expect(asked).toEqual([]);
  });
});

describe('a minute of a split ad', () => {
  it('is restated once to what its version of the rules says, and answers tell that until then', async () => {
    const [all, earlier] = [persons(start), persons(start - minuteMs)];
    const stated = await counted([...all, ...earlier]);
    const before = await countOf();
    expect(before).toMatchObject({ state: 'final', pending_late: 0 });
    expect(before.net).toBeGreaterThan(truth(all).net);
    expect(before.net - before.pending_split).toBeLessThanOrEqual(truth(all).net);
    const { pending_split } = await get('/v1/status');
    expect(pending_split).toMatchObject({ minutes: 2, since: new Date(start - minuteMs).toISOString() });
    const { headers } = await http.inject(`/v1/exports/ad_minutes?from=${start}&to=${end}`);
    expect(headers['x-pending-split']).toBe(String(before.pending_split));

    startJobs();
    await eventually('restated', async () => (await waiting()).minutes.length === 0);
    const version2 = { rules: { lowest: 2, highest: 2 }, state: 'restated' };
    await eventually('and told', async () => (await countOf()).pending_split === 0);
    expect(await countOf()).toMatchObject({ ...truth(all), ...version2, pending_split: 0, pending_late: 0 });
    expect(await countOf(start - minuteMs)).toMatchObject({ ...truth(earlier), ...version2 });
    expect((await get('/v1/status')).pending_split).toEqual({ clicks: 0, minutes: 0, since: null });
    const { restatements, total } = await get(`/v1/ads/hot/restatements?from=${start}&to=${end}`);
    const { invalid } = truth(all);
    expect(restatements).toMatchObject([
      { reason: 'split', before: 24, after: 24, before_rules: 2, after_rules: 2, after_net: 24 - invalid },
    ]);
    expect(total).toMatchObject({ changes: 1, added: 0, added_duplicates: 0 });
    expect(stated).toBeLessThan(2 * invalid);

    // Another process, which knows nothing of the one before, finds nothing to do.
    await eventually('done', async () => (await splitJobs()).every(({ state }) => state === 'done'));
    await stopJobs();
    startJobs();
    await counted(persons(end));
    await final(end + minuteMs);
    await eventually('the next one', async () => (await waiting(end + minuteMs)).minutes.length === 0);
    expect(await recountedMinutes()).toEqual([start - minuteMs, start, end]);
  });

  it('in which no cap was exceeded is recounted once and not changed', async () => {
    const all = persons(start).map((one, i) => ({ ...one, userId: `u${i}`, ip: `203.0.113.${i}` }));
    expect(await counted(all)).toBe(0);
    startJobs();
    await eventually('recounted', async () => (await waiting()).minutes.length === 0);
    expect(await countOf()).toMatchObject({ ...truth(all), state: 'final', pending_split: 0 });
    await eventually('done', async () => (await splitJobs()).every(({ state }) => state === 'done'));
    await stopJobs();
    startJobs();
    await counted(persons(end));
    await final(end + minuteMs);
    await eventually('the next one', async () => (await waiting(end + minuteMs)).minutes.length === 0);
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
      ...{ partition: 2, offset: 70, line: 0, reason: 'too_late', detail: '', appended_at: now - hourMs, ad_id: 'hot' },
      ...{ event_id: late.eventId, clicked_at: late.clickedAt, raw: formatLine(late) },
    };
    await engine.clickhouse.insert('click_raw', formatLine(late));
    await engine.clickhouse.insert('quarantine', JSON.stringify(line));
    startJobs();
    await eventually('counted', async () => (await countOf()).gross === all.length + 1);
    await eventually('nothing waits', async () => (await waiting()).minutes.length === 0);
    expect(await countOf()).toMatchObject(truth([...all, late]));
    expect(await countOf(end)).toMatchObject({ state: 'provisional', gross: open.length });
    expect(await recountedMinutes()).toEqual([start]);
  });

  it('is restated with the others when a job has failed, after its pause, and is never lost', async () => {
    await counted(persons(start));
    const store = jobsIn(engine.clickhouse);
    const failed = newJob(
      { kind: 'restate', reason: 'split', apply: true, from: start, to: end, minutes: [start] },
      now - hourMs,
    );
    await store.save({ ...failed, state: 'failed', updatedAt: Date.now(), seq: 2 });
    expect(await store.failedSplitMinutes(now - 2 * hourMs)).toMatchObject([{ minutes: [start] }]);
    // Whatever becomes of jobs, its clicks wait.
    expect((await waiting()).minutes).toEqual([start]);
    await store.save({ ...failed, state: 'failed', updatedAt: now - hourMs / 2, seq: 3 });
    startJobs();
    await eventually('restated', async () => (await waiting()).minutes.length === 0);
    expect(await countOf()).toMatchObject({ ...truth(persons(start)), state: 'restated' });
  });
});
