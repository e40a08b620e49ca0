/** Restatement, replay, reconciliation and audit on a real ClickHouse, with the real core in its thread. */
import { execFile } from 'node:child_process';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AdMinuteRow } from '../../../aggregator/ad-minute.ts';
import { loadConfig } from '../../../infra/config.ts';
import { type Http, listen } from '../../../infra/http.ts';
import { migrate } from '../../../infra/migrate.ts';
import { type Click, formatLine, partitionOf } from '../../../ingest/click.ts';
import { buildQueryApi } from '../../../query-api/app.ts';
import { QueryApiConfig } from '../../../query-api/config.ts';
import { JobsConfig } from '../../../query-api/jobs/config.ts';
import { type JobsDeps, openJobs } from '../../../query-api/jobs/open-jobs.ts';
import { recountSteps } from '../../../query-api/jobs/recount/recount-steps.ts';
import { createLateMinutes } from '../../../query-api/jobs/restate/late-minutes.ts';
import { newJob } from '../../../query-api/store/jobs/job.ts';
import { createRecountQueries } from '../../../query-api/store/jobs/recount-rows.ts';
import { adclicks } from '../../support/adclicks.ts';
import { click } from '../../support/clicks.ts';
import { jobsIn, logInto, type TestLog } from '../../support/log-into.ts';
import { noErasures } from '../../support/no-erasures.ts';
import { oneNode } from '../../support/one-node.ts';
import { openTemporaryClickHouse, type TemporaryClickHouse } from '../../support/temporary-clickhouse.ts';
import { eventually } from '../../support/wait.ts';

const log = pino({ level: process.env['TEST_LOG_LEVEL'] ?? 'silent' });
const partitions = 4;
const minuteMs = 60_000;
/** Two minutes before a midnight: ranges cross from one partition of the tables into the next. */
const start = Math.floor(Date.now() / 86_400_000) * 86_400_000 - 2 * minuteMs;
const end = start + 4 * minuteMs;
const tables = [
  'click_raw',
  'ad_minute',
  'ad_minute_by_ad',
  // With merges stopped, what the roll-up of one test has written would slow down all tests after it.
  'ad_hour',
  'most_clicked_ads',
  'partition_progress',
  'quarantine',
  'restatement',
  'recounted_minute',
  'replay_job',
  'replay_cancellation',
  'replay_diff',
  'minute_recount',
];

let engine: TemporaryClickHouse;
let http: Http;
let toLog: TestLog;
let rawAt: number;
let jobs: AsyncDisposable | undefined;

const countedLog = {
  endOffsets: async () => new Map([[0, 100]]),
  sinkPositions: async () => [],
  rawPositions: async () => new Map(Array.from({ length: partitions }, (_, partition) => [partition, rawAt])),
};

beforeAll(async () => {
  engine = await openTemporaryClickHouse();
  await migrate(engine.clickhouse, log);
  // What merges do in the background must not decide a test: every copy stays where it is.
  await engine.clickhouse.command('SYSTEM STOP MERGES');
  toLog = logInto(engine.clickhouse);
  const { requests } = toLog;
  const deps = {
    // The tables are emptied between tests, so a job of the last minute is taken for one that is not shown yet.
    config: loadConfig(QueryApiConfig, { JOBS_MAX_OPEN_PER_CLIENT: '200' }),
    clickhouse: engine.clickhouse,
    log,
    now: Date.now,
    countedLog,
  };
  http = await buildQueryApi({ ...deps, requests });
});
beforeEach(async () => {
  rawAt = 100;
  for (const table of tables) await engine.clickhouse.command(`TRUNCATE TABLE ${table}`);
  await final(end);
});
afterEach(async () => {
  await jobs?.[Symbol.asyncDispose]();
  jobs = undefined;
});
afterAll(async () => {
  await http.close();
  await engine[Symbol.asyncDispose]();
});

const insert = (table: string, ...rows: readonly object[]) =>
  engine.clickhouse.insert(table, rows.map(row => JSON.stringify(row)).join('\n'));
const insertRaw = (...clicks: readonly Click[]) =>
  engine.clickhouse.insert('click_raw', clicks.map(formatLine).join('\n'));

async function insertCounts(...rows: readonly Partial<AdMinuteRow>[]): Promise<void> {
  const full = rows.map(row => ({
    minute: start / 1_000,
    ad_id: 'ad_1',
    country: 'KR',
    partition: partitionOf(row.ad_id ?? 'ad_1', partitions),
    version: 50,
    clicks: 0,
    duplicates: 0,
    late: 0,
    ...row,
  }));
  await insert('ad_minute', ...full);
  await insert('ad_minute_by_ad', ...full);
}

async function final(until: number): Promise<void> {
  const rows = Array.from({ length: partitions }, (_, partition) => ({
    partition,
    partitions,
    position: 60,
    watermark: until + 75_000,
    final_until: until,
    appended_at: until,
    received: 0,
    counted: 0,
    duplicates: 0,
    quarantined: 0,
    ids_per_ad_from: 0,
  }));
  await insert('partition_progress', ...rows);
}

/** What traffic and operators are given time for, nothing here waits for. */
const quick = { scanMs: 250, quietMs: 500, settleMs: 500 };

function startJobs(env: Record<string, string> = {}, given: JobsDeps['pace'] = {}): void {
  const config = loadConfig(JobsConfig, env);
  const pace = { ...quick, ...given };
  const deps = { config, store: oneNode(engine.clickhouse), ...toLog, countedLog, erasures: noErasures };
  jobs = openJobs({ ...deps, now: Date.now, log, pace });
}

async function call(method: 'GET' | 'POST' | 'DELETE', url: string, payload?: object) {
  const response = await http.inject({ method, url, ...(payload === undefined ? {} : { payload }) });
  return { status: response.statusCode, body: response.json() };
}

const replay = async (apply: boolean, from = start, to = end) => {
  const { status, body } = await call('POST', '/v1/replays', { from, to, apply });
  expect([status, body.state]).toEqual([202, 'queued']);
  return String(body.id);
};
const ended = (id: string, path = 'replays') =>
  eventually(`job ${id}`, async () => {
    const { body } = await call('GET', `/v1/${path}/${id}`);
    return !['queued', 'running'].includes(body.state) && body;
  });
const countOf = async (ad: string, more = '', from = start, to = end) =>
  (await call('GET', `/v1/ads/${ad}/aggregated_count?from=${from}&to=${to}${more}`)).body;

describe('a replay', () => {
  it('tells what differs and changes nothing, until it is told to apply it', async () => {
    await insertRaw(
      click({ clickedAt: start }),
      click({ clickedAt: start + 1 }),
      click({ clickedAt: end - 1, adId: 'b' }),
    );
    await insertCounts({ clicks: 1 });
    startJobs();
    const told = await ended(await replay(false));
    const valid = { invalid_before: 0, invalid_after: 0 };
    const diff = [
      { minute: new Date(start).toISOString(), ad_id: 'ad_1', country: 'KR', before: 1, after: 2, ...valid },
      { minute: new Date(end - minuteMs).toISOString(), ad_id: 'b', country: 'KR', before: 0, after: 1, ...valid },
    ];
    expect(told).toMatchObject({ state: 'done', apply: false, clicks_read: 3, cells_changed: 2, minutes_done: 4 });
    expect(told.diff).toEqual({ cells: 2, before: 1, after: 3, ...valid, rows: diff, next_cursor: null });
    expect(await countOf('ad_1')).toMatchObject({ count: 1, state: 'final' });

    expect(await ended(await replay(true))).toMatchObject({ state: 'done', diff: { rows: diff } });
    expect(await countOf('ad_1')).toMatchObject({ count: 2, late: 1, state: 'restated' });
    expect((await call('GET', `/v1/ads/popular_ads?from=${start}&to=${end}`)).body).toMatchObject({
      state: 'restated',
      ads: [
        { ad_id: 'ad_1', count: 2 },
        { ad_id: 'b', count: 1 },
      ],
    });
  });

  it('of right counts changes nothing, with copies, rows inserted twice, and an ad counted in another partition', async () => {
    const one = click({ clickedAt: start + 5 });
    const copy = { ...one, clickId: '01KZZZZZZZZZZZZZZZZZZZZZZA' };
    const two = click({ clickedAt: end - 5, adId: 'b', eventId: 'has/slash "and" quote é' });
    await insertRaw(one, copy, two);
    await insertRaw(one);
    await insertCounts({ clicks: 1, duplicates: 1, partition: 3 }, { ad_id: 'b', clicks: 1, minute: end / 1_000 - 60 });
    startJobs();
    expect(await ended(await replay(true))).toMatchObject({ state: 'done', clicks_read: 3, cells_changed: 0 });
    expect(await countOf('ad_1')).toMatchObject({ count: 1, duplicates: 1, state: 'final' });
  });

  it('makes zeroes of counts without clicks, and what it restated can be restated again', async () => {
    await insertCounts({ clicks: 3, partition: 0 }, { clicks: 2, partition: 1 });
    startJobs();
    await ended(await replay(true));
    expect(await countOf('ad_1')).toMatchObject({ count: 0, state: 'restated' });
    await insertRaw(click({ clickedAt: start }));
    await ended(await replay(true));
    expect(await countOf('ad_1')).toMatchObject({ count: 1, state: 'restated' });
    const { body } = await call('GET', `/v1/ads/ad_1/restatements?from=${start}&to=${end}`);
    expect(
      body.restatements.map((r: { before: number; after: number; revision: number }) => [
        r.revision,
        r.before,
        r.after,
      ]),
    ).toEqual([
      [1, 5, 0],
      [2, 0, 1],
    ]);
  });

  it('waits until raw has what the log held when it was asked for', async () => {
    rawAt = 99;
    await insertRaw(click({ clickedAt: start }));
    startJobs();
    const id = await replay(true);
    await new Promise(resolve => setTimeout(resolve, 1_500));
    expect((await call('GET', `/v1/replays/${id}`)).body.state).toBe('queued');
    rawAt = 100;
    expect((await ended(id)).state).toBe('done');
  });

  it('refuses what is not final, not kept, or not a range of minutes, by name', async () => {
    const ask = async (body: object) => (await call('POST', '/v1/replays', body)).body;
    expect(await ask({ from: start, to: end + minuteMs })).toMatchObject({ status: 409, code: 'not_final' });
    const old = start - 40 * 86_400_000;
    expect(await ask({ from: old, to: old + minuteMs })).toMatchObject({
      status: 400,
      detail: expect.stringMatching(/^from is .*, but must be at most 34 days/),
    });
    expect(await ask({ from: start + 1, to: end })).toMatchObject({
      status: 400,
      detail: expect.stringMatching(/^from is .*, but must be a whole minute/),
    });
    expect(await ask({ from: start })).toMatchObject({ status: 400, detail: expect.stringMatching(/^to/) });
    expect(await ask({ from: start, to: end, aply: true })).toMatchObject({
      status: 400,
      detail: expect.stringMatching(/^aply/),
    });
    expect((await call('GET', '/v1/replays/01KZZZZZZZZZZZZZZZZZZZZZZA')).status).toBe(404);
  });

  it('can be cancelled before it runs, and is not run then', async () => {
    await insertRaw(click({ clickedAt: start }));
    const id = await replay(true);
    expect((await call('DELETE', `/v1/replays/${id}`)).status).toBe(202);
    startJobs();
    expect((await ended(id)).state).toBe('cancelled');
    expect(await countOf('ad_1')).toMatchObject({ count: 0, state: 'final' });
  });

  it('sums the invalid clicks of its diff, by which net differs', async () => {
    startJobs();
    const id = await replay(false);
    await ended(id);
    // As old rows are removed, `at` is now.
    const at = Math.floor(Date.now() / 1_000);
    const row = { ...{ job: id, minute: start / 1_000, country: 'KR', at }, before: 8, after: 8 };
    await insert('replay_diff', { ...row, ad_id: 'a', before_invalid: 3, after_invalid: 0 });
    await insert('replay_diff', { ...row, ad_id: 'b', before_invalid: 3, after_invalid: 1 });
    const { body } = await call('GET', `/v1/replays/${id}`);
    expect(body.diff).toMatchObject({ cells: 2, before: 16, after: 16, invalid_before: 6, invalid_after: 1 });
  });

  it('shows its diff page by page, each row once', async () => {
    const clicks = Array.from({ length: 25 }, (_, i) =>
      click({ clickedAt: start + (i % 4) * minuteMs, adId: `ad_${i % 7}`, country: i % 2 ? 'KR' : 'DE' }),
    );
    await insertRaw(...clicks);
    startJobs();
    const id = await replay(false);
    const { diff } = await ended(id);
    const rows = [];
    for (let cursor = ''; ; ) {
      const { body } = await call('GET', `/v1/replays/${id}?limit=4${cursor}`);
      rows.push(...body.diff.rows);
      if (body.diff.next_cursor === null) break;
      cursor = `&cursor=${body.diff.next_cursor}`;
    }
    expect(rows).toEqual(diff.rows);
    expect(rows.length).toBe(diff.cells);
  });

  it('reads each click once, whatever the size of its pages, over midnight, hot ads and empty minutes', async () => {
    const clicks = Array.from({ length: 40 }, (_, i) =>
      click({
        clickedAt: start + Math.floor(i / 10) * minuteMs * (i % 3 ? 1 : 0) + (i % 60) * 1_000,
        adId: i % 2 ? 'hot' : `ad_${i % 11}`,
      }),
    );
    await insertRaw(...clicks);
    await insertRaw(...clicks.slice(10, 20));
    const queries = createRecountQueries(engine.clickhouse);
    const truth = new Map<string, number>();
    for (const { adId, clickedAt } of clicks) {
      const key = `${Math.floor(clickedAt / minuteMs) * 60} ${adId}`;
      truth.set(key, (truth.get(key) ?? 0) + 1);
    }
    // In one range, and in several, one after another.
    const whole = [{ from: start, to: end }];
    const parts = [0, 2, 3].map((n, i, all) => ({
      from: start + n * minuteMs,
      to: start + (all[i + 1] ?? 4) * minuteMs,
    }));
    for (const [pageRows, ranges] of [1, 7, 10, 40, 1_000].flatMap(n => [[n, whole] as const, [n, parts] as const])) {
      const found = new Map<string, number>();
      let lines = 0;
      for await (const step of recountSteps(ranges, { queries, partitions, hashSeed: 1, pageRows })) {
        lines += step.lines;
        for (const { minute, ad_id, after } of step.changes) found.set(`${minute} ${ad_id}`, after);
      }
      expect([pageRows, lines]).toEqual([pageRows, 40]);
      expect(found).toEqual(truth);
    }
  });
});

describe('npm run replay', () => {
  const program = join(import.meta.dirname, '../../../query-api/cli/replay-main.ts');
  const run = async (...args: readonly string[]) => {
    const url = http.server.listening ? addressOf(http) : await listen(http, '127.0.0.1', 0);
    return await promisify(execFile)(process.execPath, [program, '--url', url, ...args]).then(
      ({ stdout }) => ({ code: 0, stdout, stderr: '' }),
      (error: { code: number; stdout: string; stderr: string }) => error,
    );
  };

  it('shows what differs as a table, applies it when told to, and says what is wrong', async () => {
    await insertRaw(click({ clickedAt: start }), click({ clickedAt: start, adId: 'b', country: 'DE' }));
    await insertCounts({ clicks: 3 });
    startJobs();
    const range = ['--from', new Date(start).toISOString(), '--to', `${end}`];
    const { code, stdout } = await run(...range);
    const minute = new Date(start).toISOString();
    expect([code, stdout.split('\n').slice(1)]).toEqual([
      0,
      [
        'done: 4 minutes, 2 clicks recounted, 2 counts differ',
        'these counts: 3 → 2 clicks; --apply restates them',
        'minute                    ad    country  before  after  change',
        `${minute}  ad_1  KR            3      1      -2`,
        `${minute}  b     DE            0      1      +1`,
        '',
      ],
    ]);
    // The same as adclicks, where a difference shows in how it ends.
    const env = { ADCLICKS_QUERY_API_URL: addressOf(http) };
    expect(await adclicks(env, 'replay', ...range)).toMatchObject({ code: 3, stdout: expect.stringContaining('-2') });
    expect(await adclicks(env, 'reconcile', ...range)).toMatchObject({
      code: 3,
      stdout: expect.stringMatching(/done: \d+ counts compared with raw clicks, 2 differ\nad .*\n(ad_1|b) /),
    });
    const { stdout: listed } = await adclicks(env, 'jobs');
    expect(listed.split('\n').map(line => line.split(/ {2,}/).slice(0, 3))).toEqual([
      ['state', 'kind', 'reason'],
      ...[1, 2].map(() => ['done', 'replay', 'replay']),
      ['done', 'reconcile', 'asked'],
      [''],
    ]);
    expect((await adclicks(env, 'jobs', '--open')).stdout).toBe('no jobs\n');
    const few = JSON.parse((await adclicks(env, 'jobs', '--kind', 'replays', '--limit', '1', '--json')).stdout);
    expect(few).toMatchObject({ jobs: [{ kind: 'replay', state: 'done' }], hasMore: true });
    const applied = JSON.parse((await run(...range, '--apply', '--json')).stdout);
    expect(applied).toMatchObject({ state: 'done', apply: true, diff: { cells: 2 } });
    expect(await countOf('ad_1')).toMatchObject({ count: 1, state: 'restated' });
    expect(await run('--from', 'yesterday', '--to', `${end}`)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^replay: from is "yesterday", but must be a time/),
    });
  });
});

describe('a job that was ended in the middle', () => {
  it('goes on where it was, and puts right what was left half written', async () => {
    await insertRaw(
      click({ clickedAt: start }),
      click({ clickedAt: start + minuteMs }),
      click({ clickedAt: start + minuteMs }),
    );
    await insertCounts({ clicks: 0 }, { minute: start / 1_000 + 60, clicks: 1 });
    const id = await replay(true);
    // As a killed process leaves it: running, the history and one of the tables written, the other not.
    const [row] = await engine.clickhouse.query<Record<string, unknown>>(
      'SELECT * FROM replay_job FINAL SETTINGS output_format_json_quote_64bit_integers=0',
    );
    await insert('replay_job', { ...row, state: 'running', seq: 9 });
    const left = { minute: start / 1_000, ad_id: 'ad_1', country: 'KR' };
    await insert('restatement', {
      ...left,
      revision: 1,
      job: id,
      reason: 'replay',
      before: 0,
      after: 1,
      before_duplicates: 0,
      after_duplicates: 0,
      at: Date.now(),
    });
    await insert('ad_minute_by_ad', {
      ...left,
      partition: partitionOf('ad_1', partitions),
      version: String(1n << 48n),
      clicks: 9,
      duplicates: 0,
      late: 1,
    });
    startJobs();
    expect(await ended(id)).toMatchObject({ state: 'done', cells_changed: 2 });
    expect(await countOf('ad_1')).toMatchObject({ count: 3, state: 'restated' });
    const { body } = await call('GET', `/v1/ads/ad_1/restatements?from=${start}&to=${end}`);
    expect(body.restatements).toMatchObject([
      { revision: 1, before: 0, after: 1, job: id },
      { revision: 1, before: 1, after: 2, job: id },
    ]);
  });
});

function addressOf({ server }: Http): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const tooLate = (clicks: readonly Click[], fromOffset = 0) =>
  insert(
    'quarantine',
    ...clicks.map((c, i) => ({
      partition: partitionOf(c.adId, partitions),
      offset: fromOffset + i,
      line: 0,
      reason: 'too_late',
      detail: 'the minute of clicked_at is final',
      appended_at: Date.now(),
      ad_id: c.adId,
      event_id: c.eventId,
      clicked_at: c.clickedAt,
      raw: formatLine(c),
    })),
  );

/** As a recount leaves it that has found nothing different. */
const recounted = (minute: number) =>
  insert('recounted_minute', {
    ...{ minute: minute / 1_000, at: Date.now(), job: 'j', cells: 0, settled: 1 },
    read_until: Object.fromEntries(Array.from({ length: partitions }, (_, partition) => [partition, 100])),
  });

describe('late clicks', () => {
  it('are restated by themselves, once, and again when more come', async () => {
    const clicks = [click({ clickedAt: start }), click({ clickedAt: start + 3 * minuteMs, adId: 'b' })];
    const onTime = click({ clickedAt: start + 1 });
    await insertRaw(onTime, ...clicks);
    await insertCounts({ clicks: 1 });
    await tooLate(clicks);
    await eventually('told', async () => (await countOf('ad_1')).pending_late === 1);
    expect(await countOf('ad_1')).toMatchObject({ count: 1, state: 'final' });
    startJobs();
    await eventually('restated', async () => (await countOf('ad_1')).count === 2 && (await countOf('b')).count === 1);
    expect(await countOf('ad_1')).toMatchObject({ count: 2, late: 1, state: 'restated' });
    await eventually('nothing waits', async () => (await countOf('ad_1')).pending_late === 0);
    // The job tells what it has read a moment after the counts have changed.
    const replays = await eventually('done', async () => {
      const { body } = await call('GET', '/v1/replays');
      return body.replays[0].state === 'done' && body.replays;
    });
    expect(replays).toMatchObject([{ kind: 'restate', reason: 'late', minutes_total: 2, clicks_read: 3 }]);

    const more = click({ clickedAt: start + 2 });
    await insertRaw(more);
    await tooLate([more, { ...onTime, clickId: '01KZZZZZZZZZZZZZZZZZZZZZZB' }], 110);
    rawAt = 200;
    await eventually('restated again', async () => (await countOf('ad_1')).count === 3);
    await eventually('done', async () =>
      (await call('GET', '/v1/replays')).body.replays.every((r: { state: string }) => r.state === 'done'),
    );
    expect((await call('GET', '/v1/replays')).body.replays.length).toBe(2);
  });

  it('are due again when their job has failed, each time after a pause, and never when a recount has counted them', async () => {
    const [pauseMs, quietMs] = [600_000, 0];
    let time = Date.now();
    const late = createLateMinutes({ clickhouse: engine.clickhouse, now: () => time, timeoutMs: 9_000, quietMs });
    const store = jobsIn(engine.clickhouse);
    const due = async (afterMs: number) => {
      time += afterMs;
      return await late.due(end, start - minuteMs);
    };
    const range = { from: start, to: start + minuteMs, minutes: [start] };
    const endJob = async (state: 'failed' | 'done') => {
      const job = newJob({ kind: 'restate', reason: 'late', apply: true, ...range }, time);
      await store.save(job, [late.taken(await due(0), job.id)]);
      expect(await due(2 * pauseMs)).toEqual([]);
      await store.save({ ...job, state, updatedAt: time, seq: 2 });
    };
    await tooLate([click({ clickedAt: start })]);
    for (const _ of [1, 2]) {
      await endJob('failed');
      expect(await due(pauseMs - 1)).toEqual([]);
      expect(await due(1)).toMatchObject([{ minute: start, lines: 1 }]);
    }
    // It says that it is done, and no recount is visible.
    await endJob('done');
    expect(await due(2 * pauseMs)).toMatchObject([{ minute: start, lines: 1 }]);
    await recounted(start);
    expect(await due(2 * pauseMs)).toEqual([]);
  });

  it('are due again at once when their job was cancelled, or its row is gone', async () => {
    const late = createLateMinutes({ clickhouse: engine.clickhouse, now: Date.now, timeoutMs: 9_000, quietMs: 0 });
    const store = jobsIn(engine.clickhouse);
    const range = { from: start, to: start + minuteMs, minutes: [start] };
    const due = () => late.due(end, start - minuteMs);
    const pending = () => late.pending(start, end);
    const found = [{ minute: start, lines: 1 }];
    await tooLate([click({ clickedAt: start })]);
    await toLog.jobLog.write([late.taken(await due(), '01KZZZZZZZZZZZZZZZZZZZZZZA')]);
    expect(await due()).toMatchObject(found);
    const job = newJob({ kind: 'restate', reason: 'late', apply: true, ...range }, Date.now());
    await store.save(job, [late.taken(await due(), job.id)]);
    expect([await due(), await pending()]).toMatchObject([[], found]);
    await store.save({ ...job, state: 'cancelled', seq: 2 });
    expect([await due(), await pending()]).toMatchObject([found, found]);
    await store.save({ ...job, state: 'done', seq: 3 });
    expect([await due(), await pending()]).toMatchObject([found, found]);
    await recounted(start);
    expect([await due(), await pending()]).toEqual([[], []]);
  });

  it('of minutes whose other clicks are no longer kept are left alone', async () => {
    const old = start - 34 * 86_400_000;
    const late = click({ clickedAt: old });
    const other = click({ clickedAt: start });
    await insertRaw(late, other);
    await insertCounts({ minute: old / 1_000, clicks: 7 });
    await tooLate([late, other]);
    startJobs();
    // One that is kept is restated, so all have been looked at: they would be of the same job, and come first.
    const replays = await eventually('restated', async () => {
      const { body } = await call('GET', '/v1/replays');
      return body.replays[0]?.state === 'done' && body.replays;
    });
    expect(replays).toMatchObject([{ reason: 'late', minutes_total: 1, from: new Date(start).toISOString() }]);
  });
});

describe('late clicks of many minutes', () => {
  const spread = (ad: string, minutes: number, from = start - 3 * 86_400_000) =>
    Array.from({ length: minutes }, (_, i) => click({ clickedAt: from + 2 * i * minuteMs, adId: ad }));
  it('are restated job by job until all are counted', async () => {
    const clicks = [...spread('a', 150), ...spread('b', 130, start - 2 * 86_400_000)];
    await insertRaw(...clicks);
    await tooLate(clicks);
    // As far as these reach.
    rawAt = clicks.length;
    startJobs();
    const first = start - 3 * 86_400_000;
    await eventually(
      'all are counted',
      async () =>
        (await countOf('a', '', first, start)).count === 150 && (await countOf('b', '', first, start)).count === 130,
    );
    const late = await eventually('done', async () => {
      const { body } = await call('GET', '/v1/replays');
      return body.replays.every((job: { state: string }) => job.state === 'done') && body.replays;
    });
    expect(late.map((job: { minutes_total: number }) => job.minutes_total).toSorted()).toEqual([120, 120, 40]);
  });
});

describe('jobs beside each other', () => {
  const dayStart = start - 86_400_000;
  const perMinute = 10;
  const day = () =>
    Array.from({ length: 1_440 * perMinute }, (_, i) =>
      click({ clickedAt: dayStart + Math.floor(i / perMinute) * minuteMs + (i % perMinute), adId: 'day' }),
    );

  it('let late clicks and a short replay go before the rest of a long one, which then goes on where it was', async () => {
    await insertRaw(...day());
    // Turns as short as they can be, and small steps: a day is many of both.
    startJobs({}, { turnMs: 0, pageRows: 10 });
    const long = await replay(true, dayStart, start);
    await eventually('it runs', async () => (await call('GET', `/v1/replays/${long}`)).body.minutes_done > 0);
    const other = await replay(false, dayStart, start);
    const late = click({ clickedAt: start, adId: 'late' });
    await insertRaw(late);
    await tooLate([late]);
    expect((await ended(await replay(false, start, start + minuteMs))).state).toBe('done');
    await eventually('restated', async () => (await countOf('late')).count === 1);
    const behind = (await call('GET', `/v1/replays/${long}`)).body;
    expect([behind.state, behind.minutes_done < 1_440]).toEqual(['running', true]);
    await call('DELETE', `/v1/replays/${other}`);
    // Also across a restart.
    await jobs?.[Symbol.asyncDispose]();
    startJobs();
    const done = await eventually('done', async () => {
      const { body } = await call('GET', `/v1/replays/${long}`);
      return body.state === 'done' && body;
    });
    expect(done).toMatchObject({ clicks_read: 1_440 * perMinute, minutes_done: 1_440, cells_changed: 1_440 });
    expect(await countOf('day', '', dayStart, start)).toMatchObject({ count: 1_440 * perMinute, state: 'restated' });
  });

  it('are refused beyond the limit of their kind, and taken again when one has ended', async () => {
    const limit = 20;
    const ids: string[] = [];
    for (let i = 0; i < limit; i++) ids.push(await replay(false));
    const body = { from: start, to: end };
    const refused = await http.inject({ method: 'POST', url: '/v1/replays', payload: body });
    expect([refused.statusCode, refused.headers['retry-after']]).toEqual([429, '30']);
    expect(refused.headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(refused.json()).toMatchObject({ code: 'too_many_open_jobs', kind: 'replay', limit, open: limit });
    expect((await call('POST', '/v1/reconciliations', body)).status).toBe(202);
    await call('DELETE', `/v1/replays/${ids[3]}`);
    startJobs();
    await ended(ids[3] ?? '');
    expect((await call('POST', '/v1/replays', body)).status).toBe(202);
  });
});

describe('what has failed', () => {
  it('is repaired after a restart, though the process ended before it made the repair', async () => {
    await insertRaw(click({ clickedAt: start }), click({ clickedAt: start }));
    await insertCounts({ clicks: 1 });
    startJobs();
    const { status, body } = await call('POST', '/v1/reconciliations', { from: start, to: end });
    expect(status).toBe(202);
    await ended(body.id, 'reconciliations');
    await jobs?.[Symbol.asyncDispose]();
    startJobs({ RECONCILE_REPAIR: 'true' });
    await eventually('repaired', async () => (await countOf('ad_1')).count === 2);
  });
});

describe('as_of', () => {
  it('is what was answered then, before a restatement and after', async () => {
    await insertRaw(click({ clickedAt: start }), click({ clickedAt: start + 1 }));
    await insertCounts({ clicks: 1 });
    startJobs();
    const before = Date.now();
    await ended(await replay(true));
    expect(await countOf('ad_1', `&as_of=${before}`)).toMatchObject({ count: 1, late: 0, state: 'final' });
    expect(await countOf('ad_1', `&as_of=${Date.now()}`)).toMatchObject({ count: 2, late: 1, state: 'restated' });
    expect((await countOf('ad_1', `&as_of=${Date.now() + 60_000}`)).detail).toMatch(
      /^as_of is .*, but must not be in the future/,
    );
  });
});

describe('as_of, while a restatement is told and not counted everywhere', () => {
  const cell = { minute: start / 1_000, ad_id: 'ad_1', country: 'KR' };
  const asOf = Date.now() - 60_000;
  const undone = () => countOf('ad_1', `&as_of=${asOf}`);
  const tell = (revision: number, before: number, after: number, at = Date.now()) =>
    insert('restatement', {
      ...{ ...cell, revision, job: 'j', reason: 'late', before, after, at },
      ...{ before_duplicates: before, after_duplicates: after },
    });
  const count = (table: string, revision: number, clicks: number, late: number) =>
    insert(table, {
      ...{ ...cell, partition: partitionOf('ad_1', partitions), clicks, duplicates: clicks, late },
      version: String((BigInt(revision) << 48n) | BigInt(Date.now())),
    });
  const before = { count: 10, duplicates: 10, late: 0, state: 'final' };

  beforeEach(async () => {
    await insertCounts({ clicks: 10, duplicates: 10 }, { country: 'DE', clicks: 5, minute: end / 1_000 - 60 });
  });
  const both = { count: 15, duplicates: 10, late: 0, state: 'final' };

  it('undoes only what is in the counts, whichever step of a job was the last', async () => {
    expect(await undone()).toMatchObject(both);
    await tell(1, 10, 14);
    expect(await undone()).toMatchObject(both);
    expect(await countOf('ad_1', `&as_of=${asOf}&country=KR`)).toMatchObject(before);
    await count('ad_minute_by_ad', 1, 14, 4);
    expect(await undone()).toMatchObject(both);
    await count('ad_minute', 1, 14, 4);
    expect(await undone()).toMatchObject(both);
    expect(await countOf('ad_1')).toMatchObject({ count: 19, duplicates: 14, late: 4, state: 'restated' });
  });

  it('undoes the restatement before where the next is not counted yet, and both where it is', async () => {
    await tell(1, 10, 14);
    await count('ad_minute', 1, 14, 4);
    await tell(2, 14, 13);
    expect(await undone()).toMatchObject(both);
    await count('ad_minute', 2, 13, 4);
    expect(await undone()).toMatchObject(both);
    // Between the two.
    await tell(1, 10, 14, asOf - 1_000);
    expect(await undone()).toMatchObject({ count: 19, duplicates: 14, late: 4, state: 'restated' });
  });

  it('adds nothing to a count that the restatement makes', async () => {
    await insert('restatement', {
      ...{ ...cell, country: 'FR', revision: 1, job: 'j', reason: 'late', before: 0, after: 3, at: Date.now() },
      ...{ before_duplicates: 0, after_duplicates: 0 },
    });
    expect(await undone()).toMatchObject(both);
  });

  it('is right where a job died before it wrote all counts, and its next run finds more', async () => {
    await tell(1, 10, 14);
    await count('ad_minute_by_ad', 1, 14, 4);
    await tell(1, 10, 17);
    expect(await undone()).toMatchObject({ count: 15, duplicates: 10, state: 'final' });
  });
});

describe('a reconciliation', () => {
  const reconcile = async () => {
    const { status, body } = await call('POST', '/v1/reconciliations', { from: start, to: end });
    expect(status).toBe(202);
    return await ended(body.id, 'reconciliations');
  };

  it('finds nothing where counts equal raw clicks, though rows were inserted twice', async () => {
    const one = click({ clickedAt: start });
    await insertRaw(one, { ...one, clickId: '01KZZZZZZZZZZZZZZZZZZZZZZA' });
    await insertRaw(one, click({ clickedAt: end - 1, adId: 'b' }));
    await insertCounts({ clicks: 1, duplicates: 1 }, { ad_id: 'b', minute: end / 1_000 - 60, clicks: 1 });
    startJobs();
    expect((await reconcile()).result).toMatchObject({
      cells_compared: 2,
      cells_differing: 0,
      conflicts: 0,
      drift: [],
    });
  });

  it('names the ads that drift, either way, and repairs them if it is told to', async () => {
    await insertRaw(click({ clickedAt: start }), click({ clickedAt: start }), click({ clickedAt: start, adId: 'ok' }));
    await insertCounts({ clicks: 1 }, { ad_id: 'gone', clicks: 5 }, { ad_id: 'ok', clicks: 1 });
    startJobs({ RECONCILE_REPAIR: 'true' });
    const { result } = await reconcile();
    expect(result).toMatchObject({ cells_compared: 3, cells_differing: 2 });
    expect(result.drift).toEqual([
      { ad_id: 'gone', cells: 1, counted: 5, raw: 0, drift: -5 },
      { ad_id: 'ad_1', cells: 1, counted: 1, raw: 2, drift: 1 },
    ]);
    await eventually(
      'repaired',
      async () => (await countOf('gone')).count === 0 && (await countOf('ad_1')).count === 2,
    );
    const { body } = await call('GET', `/v1/ads/gone/restatements?from=${start}&to=${end}`);
    expect(body.restatements).toMatchObject([{ before: 5, after: 0, reason: 'reconcile' }]);
  });
});

describe('GET /v1/clicks/{event_id}', () => {
  it('tells what became of each copy', async () => {
    const one = click({ clickedAt: start, eventId: 'e/1' });
    const copy = { ...one, clickId: '01KZZZZZZZZZZZZZZZZZZZZZZA', receivedAt: one.receivedAt + 5 };
    const late = { ...click({ clickedAt: start + minuteMs, eventId: 'late' }) };
    await insertRaw(one, copy, late);
    await insertRaw(one);
    await tooLate([late]);
    const audit = async (id: string) => (await call('GET', `/v1/clicks/${encodeURIComponent(id)}`)).body;
    expect(await audit('e/1')).toMatchObject({
      event_id: 'e/1',
      copies: [
        { click_id: one.clickId, outcome: 'counted', state: 'final', partition: partitionOf('ad_1', partitions) },
        { click_id: copy.clickId, outcome: 'duplicate' },
      ],
    });
    expect((await audit('late')).copies).toMatchObject([{ outcome: 'quarantined', reason: 'too_late', job: null }]);
    startJobs();
    const id = await replay(true);
    await ended(id);
    expect((await audit('late')).copies).toMatchObject([
      { outcome: 'restated', reason: 'too_late', job: id, state: 'restated' },
    ]);
    // The same file once more: quarantined again, and known to be a copy.
    const again = { ...late, clickId: '01KZZZZZZZZZZZZZZZZZZZZZZC', receivedAt: late.receivedAt + 9 };
    await insertRaw(again);
    await tooLate([again], 30);
    expect((await audit('late')).copies).toMatchObject([
      { click_id: late.clickId, outcome: 'restated' },
      { click_id: again.clickId, outcome: 'duplicate', reason: 'too_late' },
    ]);
    expect(await audit('nobody')).toMatchObject({ status: 404, code: 'not_found' });
  });
});
