/** One event id under several ads: each has a click of its own, whoever counts, recounts, compares or looks it up. */
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
import { click } from '../../support/clicks.ts';
import { logInto, type TestLog } from '../../support/log-into.ts';
import { noErasures } from '../../support/no-erasures.ts';
import { oneNode } from '../../support/one-node.ts';
import { openTemporaryClickHouse, type TemporaryClickHouse } from '../../support/temporary-clickhouse.ts';
import { eventually } from '../../support/wait.ts';

const log = pino({ level: process.env['TEST_LOG_LEVEL'] ?? 'silent' });
const minuteMs = 60_000;
const start = Math.floor(Date.now() / 86_400_000) * 86_400_000 - 10 * minuteMs;
const end = start + 4 * minuteMs;
const tables = ['click_raw', 'ad_minute', 'ad_minute_by_ad', 'partition_progress', 'quarantine', 'restatement'];
const jobTables = ['replay_job', 'replay_diff', 'minute_recount'];

let engine: TemporaryClickHouse;
let http: Http;
let toLog: TestLog;
let jobs: AsyncDisposable | undefined;
const countedLog = {
  endOffsets: async () => new Map([[0, 100]]),
  sinkPositions: async () => [],
  rawPositions: async () => new Map([[0, 100]]),
};

beforeAll(async () => {
  engine = await openTemporaryClickHouse();
  await migrate(engine.clickhouse, log);
  await engine.clickhouse.command('SYSTEM STOP MERGES');
  const config = loadConfig(QueryApiConfig, {});
  toLog = logInto(engine.clickhouse);
  const routing = async () => ({ rules: [], partitionRules: [], versions: [] });
  const { requests } = toLog;
  const deps = { clickhouse: engine.clickhouse, log, now: Date.now, countedLog, routing, requests };
  http = await buildQueryApi({ config, ...deps });
});
beforeEach(async () => {
  for (const table of [...tables, ...jobTables]) await engine.clickhouse.command(`TRUNCATE TABLE ${table}`);
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

/** All is final; `idsPerAdFrom` as the aggregator's progress says, null as that of an older release does. */
async function final(idsPerAdFrom: number | null): Promise<void> {
  const times = { watermark: end + 75_000, final_until: end, appended_at: end };
  const lines = { received: 0, counted: 0, duplicates: 0, quarantined: 0 };
  const rule = idsPerAdFrom === null ? {} : { ids_per_ad_from: idsPerAdFrom };
  await insert('partition_progress', { partition: 0, partitions: 1, position: 60, ...times, ...lines, ...rule });
}

async function insertCounts(minute: number, clicks: Readonly<Record<string, number>>): Promise<void> {
  const rows = Object.entries(clicks).map(([ad_id, n]) => {
    return {
      minute: minute / 1_000,
      ad_id,
      country: 'KR',
      partition: 0,
      version: 50,
      clicks: n,
      duplicates: 0,
      late: 0,
    };
  });
  await insert('ad_minute', ...rows);
}

async function call(method: 'GET' | 'POST', url: string, payload?: object) {
  const response = await http.inject({ method, url, ...(payload === undefined ? {} : { payload }) });
  return { status: response.statusCode, body: response.json() };
}

/** Posts the job, and resolves to how it ended. */
async function run(path: 'replays' | 'reconciliations', more: object = {}) {
  jobs ??= openJobs({
    ...{ config: loadConfig(JobsConfig, {}), store: oneNode(engine.clickhouse), countedLog },
    ...{ erasures: noErasures, now: Date.now, log, ...toLog },
  });
  const { body } = await call('POST', `/v1/${path}`, { from: start, to: end, ...more });
  return await eventually('job ended', async () => {
    const job = (await call('GET', `/v1/${path}/${body.id}`)).body;
    return !['queued', 'running'].includes(job.state) && job;
  });
}

/** The same id under each of the ads. */
const shared = (minute: number, ...adIds: readonly string[]) =>
  adIds.map(adId => click({ clickedAt: minute + 5, adId, eventId: 'same', userId: 'u' }));

describe('an id under two ads', () => {
  it('is a click of each to a reconciliation and to a replay', async () => {
    await final(0);
    await insertRaw(...shared(start, 'x', 'y'));
    await insertCounts(start, { x: 1, y: 1 });
    expect((await run('reconciliations')).result).toMatchObject({
      cells_compared: 2,
      cells_differing: 0,
      conflicts: 0,
    });
    expect(await run('replays', { apply: true })).toMatchObject({ state: 'done', cells_changed: 0 });
  });

  it('that was counted for one of them is drift, and a replay restates it', async () => {
    await final(0);
    await insertRaw(...shared(start, 'x', 'y'));
    await insertCounts(start, { x: 1, y: 0 });
    const { result } = await run('reconciliations');
    expect(result).toMatchObject({ cells_differing: 1, conflicts: 0, drift: [{ ad_id: 'y', counted: 0, raw: 1 }] });
    const { diff } = await run('replays', { apply: true });
    expect(diff.rows).toMatchObject([{ ad_id: 'y', before: 0, after: 1 }]);
  });

  it('is one of each to answers from raw clicks, which agree with the counts', async () => {
    await final(0);
    await insertRaw(...shared(start, 'x', 'y'));
    await insertCounts(start, { x: 1, y: 1 });
    const range = `from=${start}&to=${end}`;
    for (const asked of [`ads/y/aggregated_count?uniques=true&${range}`, `ads/x/aggregated_count?user_id=u&${range}`])
      expect((await call('GET', `/v1/${asked}`)).body).toMatchObject({ count: 1, duplicates: 0, state: 'final' });
    const { body } = await call('GET', `/v1/ads/popular_ads?user_id=u&${range}`);
    expect(body).toMatchObject({
      state: 'final',
      ads: [
        { ad_id: 'x', count: 1 },
        { ad_id: 'y', count: 1 },
      ],
    });
  });
});

describe('a minute from before ids were per ad', () => {
  it.each([
    ['by all that is known', null],
    ['by the minute told', start + minuteMs],
  ])('keeps its count: it is reconciled and recounted by the rule it was counted by, %s', async (_how, from) => {
    await final(from);
    await insertRaw(...shared(start, 'x', 'y'));
    await insertCounts(start, { x: 1, y: 0 });
    expect((await run('reconciliations')).result).toMatchObject({ cells_differing: 0, conflicts: 1 });
    expect(await run('replays', { apply: true })).toMatchObject({ state: 'done', cells_changed: 0 });
  });

  it('ends where the next begins', async () => {
    await final(start + minuteMs);
    await insertRaw(...shared(start, 'x', 'y'), ...shared(start + minuteMs, 'x', 'y'));
    await insertCounts(start, { x: 1, y: 0 });
    await insertCounts(start + minuteMs, { x: 1, y: 0 });
    const { diff } = await run('replays');
    const minute = new Date(start + minuteMs).toISOString();
    expect(diff.rows).toMatchObject([{ minute, ad_id: 'y', before: 0, after: 1 }]);
  });
});

describe('copies of a click that tell two countries', () => {
  it('are a conflict to a reconciliation, and count once', async () => {
    await final(0);
    const one = click({ clickedAt: start, adId: 'x', eventId: 'same' });
    await insertRaw(one, click({ clickedAt: start + 1, adId: 'x', eventId: 'same', country: 'DE' }));
    await insertRaw(one, click({ clickedAt: start + 1, adId: 'y', eventId: 'same', country: 'DE' }));
    await insertCounts(start, { x: 1, y: 1 });
    expect((await run('reconciliations')).result).toMatchObject({ cells_differing: 0, conflicts: 1 });
  });
});

describe('GET /v1/clicks/{event_id}', () => {
  it('lists all ads of an id, each with its own click and its own copies', async () => {
    await final(0);
    const [x, y] = shared(start, 'x', 'y') as [Click, Click];
    const copy = { ...x, clickId: '01KZZZZZZZZZZZZZZZZZZZZZZA', receivedAt: x.receivedAt + 50 };
    await insertRaw(x, y, copy);
    const { body } = await call('GET', '/v1/clicks/same');
    expect(body).toMatchObject({
      ads: [
        { ad_id: 'x', copies: 2 },
        { ad_id: 'y', copies: 1 },
      ],
      is_complete: true,
      copies: [
        { ad_id: 'x', click_id: x.clickId, outcome: 'counted' },
        { ad_id: 'x', click_id: copy.clickId, outcome: 'duplicate' },
        { ad_id: 'y', click_id: y.clickId, outcome: 'counted' },
      ],
    });
    const ofY = (await call('GET', '/v1/clicks/same?ad_id=y')).body;
    expect(ofY).toMatchObject({ ads: [{ ad_id: 'y', copies: 1 }], copies: [{ ad_id: 'y' }] });
    expect(await call('GET', '/v1/clicks/same?ad_id=z')).toMatchObject({ status: 404 });
    expect(await call('GET', '/v1/clicks/same?ad_id=a%20b')).toMatchObject({ status: 400 });
  });

  it('does not let one ad with very many copies hide another, and says that there are more', async () => {
    await final(0);
    const [x, y] = shared(start, 'x', 'y') as [Click, Click];
    const many = Array.from({ length: 1_500 }, (_, i) => ({
      ...click(),
      ...x,
      clickId: `01K${String(i).padStart(23, 'A')}`,
    }));
    await insertRaw(...many, { ...y, receivedAt: y.receivedAt + 1_000 });
    const { body } = await call('GET', '/v1/clicks/same');
    expect(body).toMatchObject({
      ads: [
        { ad_id: 'x', copies: 100 },
        { ad_id: 'y', copies: 1 },
      ],
      is_complete: false,
    });
  });

  it('does not call the click of one ad set aside because that of another was, whose producer gave it the same click_id', async () => {
    await final(0);
    const clickId = '01KSAMEXXXXXXXXXXXXXXXXXXX';
    const [x, y] = shared(start, 'x', 'y').map(one => ({ ...one, clickId })) as [Click, Click];
    await insertRaw(x, y);
    const where = { partition: 0, offset: 1, line: 0, reason: 'too_late', detail: '', appended_at: Date.now() };
    await insert('quarantine', { ...where, ad_id: 'y', event_id: 'same', clicked_at: y.clickedAt, raw: formatLine(y) });
    const { copies } = (await call('GET', '/v1/clicks/same')).body;
    expect(copies).toMatchObject([
      { ad_id: 'x', outcome: 'counted' },
      { ad_id: 'y', outcome: 'quarantined' },
    ]);
  });

  it('tells of each of many ads whether its count was restated', async () => {
    await final(0);
    const ads = Array.from({ length: 60 }, (_, i) => `ad-${String(i).padStart(2, '0')}`);
    await insertRaw(...shared(start, ...ads));
    await insertCounts(start, Object.fromEntries(ads.map(ad => [ad, Number(ad !== 'ad-59')])));
    expect(await run('replays', { apply: true })).toMatchObject({ cells_changed: 1 });
    const { copies } = (await call('GET', '/v1/clicks/same')).body;
    const states = new Map(copies.map((copy: { ad_id: string; state: string }) => [copy.ad_id, copy.state]));
    expect(states.get('ad-59')).toBe('restated');
    expect([...states.values()].filter(state => state === 'final')).toHaveLength(59);
  });
});
