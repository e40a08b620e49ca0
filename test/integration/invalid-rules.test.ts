/**
 * The rules of invalid clicks through all processes, on a real broker and a real ClickHouse: announced, counted by, tried
 * out, and applied by a replay.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ClickHouse, openClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { ClickHouseConfig, loadConfig } from '../../infra/config.ts';
import { adclicks } from '../support/adclicks.ts';
import { startTestPipeline, type TestPipeline } from '../support/pipeline.ts';
import { eventually } from '../support/wait.ts';

const minuteMs = 60_000;
const ad = 'ad-ruled';
const person = { ad_id: ad, country: 'KR', user_id: 'u-1', ip: '203.0.113.7' };

interface Version {
  readonly version: number;
  readonly state: string;
}

interface Job {
  readonly id: string;
  readonly state: string;
  readonly error: string | null;
  readonly rules_effect: Readonly<Record<string, unknown>> | null;
}

let pipeline: TestPipeline;
let clickhouse: ClickHouse;
/** The first minute that is counted by version 1. */
let minute = 0;
let rules: Record<string, unknown>;

beforeAll(async () => {
  pipeline = await startTestPipeline({
    ...{ OUT_OF_ORDERNESS_MS: '2000', ALLOWED_LATENESS_MS: '3000', HOT_AD_NOTICE_MS: '30000' },
  });
  clickhouse = openClickHouse(loadConfig(ClickHouseConfig, pipeline.env), { readers: 1 });
});
afterAll(async () => {
  await clickhouse?.[Symbol.asyncDispose]();
  await pipeline?.[Symbol.asyncDispose]();
});

async function send(path: string, body: object): Promise<{ status: number; body: Record<string, unknown> }> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${pipeline.queryApi.url}${path}`, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

const cli = async (...args: readonly string[]) =>
  await adclicks({ ADCLICKS_QUERY_API_URL: pipeline.queryApi.url }, ...args);

/** Asks the database itself, so that the test needs no answer of the API about counts. */
const rowsOf = (query: string): Promise<Readonly<Record<string, unknown>>[]> => clickhouse.query(query, {});

const counted = () =>
  rowsOf(`SELECT sum(r.clicks) AS clicks, sum(r.invalid) AS invalid, sumMap(r.invalid_by) AS invalid_by,
    max(r.rules) AS rules, min(r.rules) AS lowest
    FROM (SELECT clicks, invalid, invalid_by, rules FROM ad_minute FINAL
      WHERE ad_id = '${ad}' AND minute = toDateTime(${minute / 1_000}, 'UTC')) AS r`);

async function replayed(body: object): Promise<Job> {
  const range = { from: minute, to: minute + minuteMs };
  const started = await eventually('the minute is final', async () => {
    const answer = await send('/v1/replays', { ...range, ...body });
    return answer.status !== 409 && answer;
  });
  expect(started).toMatchObject({ status: 202 });
  return await eventually(
    'the replay',
    async () => {
      const job = await pipeline.get<Job>(`/v1/replays/${started.body['id']}`).catch(() => undefined);
      return job !== undefined && job.state !== 'queued' && job.state !== 'running' && job;
    },
    120_000,
  );
}

let serial = 0;
const clicks = (many: number, more: object = {}) =>
  Array.from({ length: many }, () => ({
    ...{ ...person, event_id: `e-${++serial}`, clicked_at: minute + 30_000 + serial },
    ...more,
  }));

describe('rules of invalid clicks', () => {
  it('are proposed and announced for a minute to come, and every minute before it has none', async () => {
    const proposed = await cli('rules', 'propose');
    expect(proposed.code).toBe(0);
    const off = { ...JSON.parse(proposed.stdout), double_click_seconds: 0, missing_field: false };
    rules = { ...off, user_clicks_per_minute: 2 };
    const { soonest_from } = await pipeline.get<{ soonest_from: string }>('/v1/rules');
    minute = Date.parse(soonest_from) + minuteMs;
    expect(await send('/v1/rules', { rules, from: minute - 3 * minuteMs, note: 'too soon' })).toMatchObject({
      status: 400,
    });
    expect(await send('/v1/rules', { rules, from: minute, note: 'to begin with' })).toMatchObject({
      status: 201,
      body: { version: 1, state: 'announced' },
    });
    await pipeline.post([{ ...person, event_id: 'before', clicked_at: Date.now() }]);
    await eventually('a count by no rules', async () => {
      const [row] = await rowsOf(
        `SELECT sum(r.clicks) AS clicks, max(r.rules) AS rules FROM ad_minute AS r FINAL WHERE r.ad_id = '${ad}'`,
      );
      return row?.['clicks'] === 1 && row['rules'] === 0;
    });
  });

  it('count what is invalid by reason from that minute on', async () => {
    await eventually('the minute has begun', async () => Date.now() > minute + 32_000, 240_000);
    const other = { user_id: 'u-2', ip: '203.0.113.8' };
    const { status, body } = await pipeline.post([...clicks(5), ...clicks(1, other)]);
    expect([status, body['rejected']]).toEqual([202, []]);
    await eventually('counts', async () => (await counted())[0]?.['clicks'] === 6, 60_000);
    expect(await counted()).toEqual([{ clicks: 6, invalid: 3, invalid_by: { user_velocity: 3 }, rules: 1, lowest: 1 }]);
    const { versions } = await pipeline.get<{ versions: Version[] }>('/v1/rules');
    expect(versions).toMatchObject([{ version: 1, state: 'in_force' }]);
  });

  it('can be tried out on counted minutes, in valid clicks and in money, and nothing is changed', async () => {
    const draft_rules = { ...rules, user_clicks_per_minute: 1 };
    const job = await replayed({ draft_rules, price_per_click: '0.25' });
    expect(job).toMatchObject({ state: 'done', error: null });
    const sums = {
      clicks_before: 6,
      clicks_after: 6,
      invalid_before: 3,
      invalid_after: 4,
      net_before: 3,
      net_after: 2,
    };
    const all = { ...sums, money: '-0.25' };
    expect(job.rules_effect).toEqual({
      ...{ rules: null, draft_rules, price_per_click: '0.25', cells: 1, cells_left_out: 0, ...all },
      by_reason: [{ reason: 'user_velocity', before: 3, after: 4 }],
      by_day: [{ day: new Date(minute - (minute % 86_400_000)).toISOString(), ...all }],
      by_ad: [{ ad_id: ad, cells: 1, ...all }],
    });
    expect((await counted())[0]).toMatchObject({ invalid: 3, rules: 1 });
    expect(await rowsOf('SELECT count() AS n FROM restatement')).toEqual([{ n: 0 }]);
    const range = { from: minute, to: minute + minuteMs };
    expect(await send('/v1/replays', { ...range, draft_rules, apply: true })).toMatchObject({ status: 400 });
  });

  it('are applied by a replay that names their version, which restatement and rows say', async () => {
    const stricter = { ...rules, user_clicks_per_minute: 1 };
    const draft = await send('/v1/rules', { rules: stricter, note: 'stricter' });
    expect(draft).toMatchObject({ status: 201, body: { version: 2, state: 'draft', from: null } });
    expect(await replayed({ rules: 2, apply: true })).toMatchObject({
      state: 'done',
      rules_effect: { rules: 2, cells: 1 },
    });
    expect(await counted()).toEqual([{ clicks: 6, invalid: 4, invalid_by: { user_velocity: 4 }, rules: 2, lowest: 2 }]);
    expect(
      await rowsOf(
        'SELECT ad_id, reason, before, after, before_rules, after_rules FROM restatement FINAL ORDER BY ad_id',
      ),
    ).toEqual([{ ad_id: ad, reason: 'rules', before: 6, after: 6, before_rules: 1, after_rules: 2 }]);
  });

  it('stay those of the minute when late clicks are counted in it', async () => {
    const { status } = await pipeline.post(clicks(2));
    expect(status).toBe(202);
    await eventually('restated', async () => (await counted())[0]?.['clicks'] === 8, 120_000);
    expect(await counted()).toEqual([{ clicks: 8, invalid: 6, invalid_by: { user_velocity: 6 }, rules: 2, lowest: 2 }]);
    expect(await rowsOf("SELECT before_rules, after_rules FROM restatement FINAL WHERE reason = 'late'")).toEqual([
      { before_rules: 2, after_rules: 2 },
    ]);
  });

  it('are in the audit log, with who asked for what', async () => {
    const recorded = () =>
      rowsOf(`SELECT action, parameters, status FROM audit_record FINAL
        WHERE action IN ('POST /v1/rules', 'POST /v1/replays') AND status IN (201, 202)`);
    await eventually('the audit log', async () => (await recorded()).length === 4);
    expect(await recorded()).toEqual(
      expect.arrayContaining([
        { action: 'POST /v1/rules', status: 201, parameters: { rules: '***', note: 'stricter' } },
        {
          ...{ action: 'POST /v1/replays', status: 202 },
          parameters: { from: String(minute), to: String(minute + minuteMs), rules: '2', apply: 'true' },
        },
      ]),
    );
    const listed = await cli('rules', 'list');
    expect(listed.stdout).toMatch(/2\s+draft\s+-/);
    expect(listed.stdout).toMatch(/1\s+in_force/);
  });
});
