/**
 * The rules of invalid clicks through all processes, on a real broker and a real ClickHouse: announced, counted by, tried
 * out, applied by a replay, and applied to the clicks of a split ad in all partitions together.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ClickHouse, openClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { ClickHouseConfig, KafkaConfig, loadConfig } from '../../infra/config.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { createProducer } from '../../infra/kafka/producer.ts';
import { createLog } from '../../infra/log.ts';
import { names } from '../../infra/topics.ts';
import { splitPartitionOf } from '../../ingest/click.ts';
import { hotAdTermsOf, ruleRecord } from '../../ingest/hot-ads/rule.ts';
import type { ValidityRules } from '../../ingest/validity/rules.ts';
import { adclicks } from '../support/adclicks.ts';
import { click } from '../support/clicks.ts';
import { invalidOfCell, sumOf } from '../support/judged-clicks.ts';
import { partitions, startTestPipeline, type TestPipeline } from '../support/pipeline.ts';
import { eventually } from '../support/wait.ts';

const minuteMs = 60_000;
const ad = 'ad-ruled';
const splitAd = 'ad-split';
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
/** The first minute that is counted by version 1. In it, one ad is split. */
let minute = 0;
let rules: ValidityRules;

beforeAll(async () => {
  pipeline = await startTestPipeline({
    ...{ OUT_OF_ORDERNESS_MS: '2000', ALLOWED_LATENESS_MS: '3000', HOT_AD_NOTICE_MS: '30000' },
    SINK_ERASURE_SETTLE_MS: '1000',
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

const counted = (adId = ad, of = minute) =>
  rowsOf(`SELECT sum(r.clicks) AS clicks, sum(r.invalid) AS invalid, sumMap(r.invalid_by) AS invalid_by,
    max(r.rules) AS rules, min(r.rules) AS lowest
    FROM (SELECT clicks, invalid, invalid_by, rules FROM ad_minute FINAL
      WHERE ad_id = '${adId}' AND minute = toDateTime(${of / 1_000}, 'UTC')) AS r`);

async function replayed(body: object): Promise<Job> {
  const range = { from: minute, to: minute + minuteMs };
  const started = await eventually('the minute is final', async () => {
    const answer = await send('/v1/replays', { ...range, ...body });
    return answer.status !== 409 && answer;
  });
  expect(started).toMatchObject({ status: 202 });
  return await eventually('the replay', async () => {
    const job = await pipeline.get<Job>(`/v1/replays/${started.body['id']}`).catch(() => undefined);
    return job !== undefined && job.state !== 'queued' && job.state !== 'running' && job;
  });
}

/** As an ingest process announces it that has found the ad to be hot. */
async function announceSplit(): Promise<void> {
  const kafka = createKafka(loadConfig(KafkaConfig, pipeline.env), 'test', createLog('test', 'error'));
  await using producer = createProducer(kafka, { acks: -1, timeoutMs: 10_000 });
  const rule = { ruleId: `01K${'0'.repeat(23)}`, adId: splitAd, from: minute, until: minute + minuteMs };
  await producer.send(names('').topic('hot-ads'), [ruleRecord(rule, hotAdTermsOf({ HOT_AD_NOTICE_MS: 30_000 }))]);
}

/** Of each of eleven users a double click, of which at most one half is valid. */
const splitClicks = Array.from({ length: 22 }, (_, i) => ({
  ...{ adId: splitAd, country: 'KR', eventId: `split-${i}`, userId: `u-${i % 11}`, ip: '203.0.113.9' },
  ms: 4_000 + i,
}));

const scannedAd = 'ad-scanned';
const browser = 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0';

interface CountAnswer {
  readonly state: string;
  readonly net: number;
  readonly pending_late: number;
}

interface ScannedLink {
  readonly event_id: string;
}

/** The first loads of three links. */
let scanned: { readonly minute: number } & Readonly<Record<'robot' | 'otherRobot' | 'prefetch', ScannedLink>>;

/**
 * Programs load three links of an open minute. A person follows one of them while the minute is open, and an aggregator
 * that has begun anew in between counts it.
 */
async function scan(own: number): Promise<void> {
  const link = (event_id: string, second: number) => ({
    ...{ ad_id: scannedAd, event_id, clicked_at: own + 1_000 * second, country: 'US' },
  });
  scanned = {
    minute: own,
    robot: link('scan-robot', 1),
    otherRobot: link('scan-robot-2', 5),
    prefetch: link('scan-prefetch', 3),
  };
  const { robot, otherRobot, prefetch } = scanned;
  await pipeline.post([
    ...[robot, otherRobot].map(each => ({ ...each, user_agent: 'Googlebot/2.1 (+http://www.google.com/bot.html)' })),
    { ...prefetch, user_agent: browser, purpose: 'prefetch' },
  ]);
  const isCounted = async (invalid: number) => (await counted(scannedAd, own))[0]?.['invalid'] === invalid;
  await eventually('all are invalid', () => isCounted(3));
  await pipeline.aggregator.kill();
  await (await pipeline.restart('aggregator')).ready();
  await pipeline.post([{ ...prefetch, user_agent: browser }]);
  await eventually('one is valid', () => isCounted(2));
}

let serial = 0;
/** Never two in a step of double clicks. */
const clicks = (many: number, more: object = {}) =>
  Array.from({ length: many }, () => ({
    ...{ ...person, event_id: `e-${++serial}`, clicked_at: minute + 14_000 + serial * 2_000 },
    ...more,
  }));

describe('rules of invalid clicks', () => {
  it('are proposed and announced for a minute to come, and every minute before it has none', async () => {
    const proposed = await cli('rules', 'propose');
    expect(proposed.code).toBe(0);
    rules = {
      ...JSON.parse(proposed.stdout),
      double_click_seconds: 2,
      missing_field: false,
      user_clicks_per_minute: 2,
    };
    const { soonest_from } = await pipeline.get<{ soonest_from: string }>('/v1/rules');
    minute = Date.parse(soonest_from) + minuteMs;
    expect(await send('/v1/rules', { rules, from: minute - 3 * minuteMs, note: 'too soon' })).toMatchObject({
      status: 400,
    });
    expect(await send('/v1/rules', { rules, from: minute, note: 'to begin with' })).toMatchObject({
      status: 201,
      body: { version: 1, state: 'announced' },
    });
    await announceSplit();
    await pipeline.post([{ ...person, event_id: 'before', clicked_at: Date.now() }]);
    await eventually('a count by no rules', async () => {
      const [row] = await rowsOf(
        `SELECT sum(r.clicks) AS clicks, max(r.rules) AS rules FROM ad_minute AS r FINAL WHERE r.ad_id = '${ad}'`,
      );
      return row?.['clicks'] === 1 && row['rules'] === 0;
    });
  });

  it('count what is invalid by reason from that minute on', async () => {
    await eventually('the minute has begun', async () => Date.now() > minute + 32_000);
    const other = { user_id: 'u-2', ip: '203.0.113.8' };
    const ofSplitAd = splitClicks.map(({ adId, eventId, userId, ms, ...same }) => ({
      ...{ ...same, ad_id: adId, event_id: eventId, user_id: userId, clicked_at: minute + ms },
    }));
    const { status, body } = await pipeline.post([...clicks(5), ...clicks(1, other), ...ofSplitAd]);
    expect([status, body['rejected']]).toEqual([202, []]);
    await eventually('counts', async () => (await counted())[0]?.['clicks'] === 6);
    expect(await counted()).toEqual([{ clicks: 6, invalid: 3, invalid_by: { user_velocity: 3 }, rules: 1, lowest: 1 }]);
    const { versions } = await pipeline.get<{ versions: Version[] }>('/v1/rules');
    expect(versions).toMatchObject([{ version: 1, state: 'in_force' }]);
  });

  it('apply to the clicks of a split ad in all partitions together once their minute is final', async () => {
    const expected = splitClicks.map(({ ms, ...same }) => click({ ...same, clickedAt: minute + ms }));
    const invalid_by = invalidOfCell(expected, rules);
    const [invalid, total] = [sumOf(invalid_by), expected.length];
    expect([invalid_by, new Set(expected.map(({ eventId }) => splitPartitionOf(eventId, partitions))).size]).toEqual([
      { double_click: 11 },
      partitions,
    ]);
    const path = `/v1/ads/${splitAd}`;
    const range = `from=${minute}&to=${minute + minuteMs}`;
    interface Answer {
      readonly state: string;
      readonly net: number;
      readonly pending_split: number;
    }
    const answers: Answer[] = [];
    await eventually('restated', async () => {
      const answer = await pipeline.get<Answer>(`${path}/aggregated_count?${range}`);
      answers.push(answer);
      return answer.state === 'restated';
    });
    expect(answers.at(-1)).toMatchObject({ gross: total, net: total - invalid, invalid, pending_split: 0 });
    // At no moment has a number been called final that was not the last one, without a word about it.
    const complete = answers.filter(({ state, pending_split }) => state !== 'provisional' && pending_split === 0);
    expect(new Set(complete.map(({ net }) => net))).toEqual(new Set([total - invalid]));
    expect(await counted(splitAd)).toEqual([{ clicks: total, invalid, invalid_by, rules: 1, lowest: 1 }]);
    const { restatements } = await pipeline.get<{ restatements: Record<string, unknown>[] }>(
      `${path}/restatements?${range}`,
    );
    expect(restatements).toMatchObject([
      { reason: 'split', before: total, after: total, after_net: total - invalid, before_rules: 1, after_rules: 1 },
    ]);
    // The stream had let more through: some of the two clicks of a user were in different partitions.
    expect(restatements[0]?.['before_net']).toBeGreaterThan(total - invalid);
    expect(await rowsOf('SELECT count() AS n FROM recounted_minute FINAL')).toEqual([{ n: 1 }]);
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
    expect(await rowsOf(`SELECT count() AS n FROM restatement WHERE ad_id = '${ad}'`)).toEqual([{ n: 0 }]);
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
        `SELECT ad_id, reason, before, after, before_rules, after_rules FROM restatement FINAL WHERE ad_id = '${ad}'`,
      ),
    ).toEqual([{ ad_id: ad, reason: 'rules', before: 6, after: 6, before_rules: 1, after_rules: 2 }]);
  });

  it('stay those of the minute when late clicks are counted in it', async () => {
    const { status } = await pipeline.post(clicks(2));
    expect(status).toBe(202);
    await eventually('restated', async () => (await counted())[0]?.['clicks'] === 8);
    expect(await counted()).toEqual([{ clicks: 8, invalid: 6, invalid_by: { user_velocity: 6 }, rules: 2, lowest: 2 }]);
    expect(await rowsOf("SELECT before_rules, after_rules FROM restatement FINAL WHERE reason = 'late'")).toEqual([
      { before_rules: 2, after_rules: 2 },
    ]);
  });

  it('are what a reconciliation in SQL finds, of a split ad too, and a row that says something else is a difference to it', async () => {
    const range = ['--from', new Date(minute).toISOString(), '--to', new Date(minute + minuteMs).toISOString()];
    const equal = await cli('reconcile', ...range);
    expect(equal.stdout).toContain('invalid clicks: 2 counts compared with the rules, 0 differ');
    expect(equal.code).toBe(0);
    await clickhouse.command(`INSERT INTO ad_minute
      (minute, ad_id, country, partition, version, clicks, duplicates, late, rules_given, invalid_given, invalid_by_given)
      SELECT minute, ad_id, country, partition, version + 1, clicks, duplicates, late, rules, invalid,
        map('double_click', invalid)
      FROM (SELECT *, rules, invalid FROM ad_minute FINAL) WHERE ad_id = '${ad}' AND invalid = 6`);
    const other = await cli('reconcile', ...range);
    expect(other.code).toBe(3);
    expect(other.stdout).toMatch(/ad-ruled +double_click +1 +6 +0 +-6\nad-ruled +user_velocity +1 +0 +6 +\+6\n/);
  });

  it('find of a person who is erased within a minute what was billed, when a late click has it counted again', async () => {
    const [ofPerson, ofOther] = ['ad-of-erased', 'ad-of-other'];
    const own = (Math.floor(Date.now() / minuteMs) + 1) * minuteMs;
    const clicked = (second: number) => ({
      ...{
        ...person,
        user_id: 'eraser-mid',
        ad_id: ofPerson,
        event_id: `m-${second}`,
        clicked_at: own + 1_000 * second,
      },
    });
    // While the minute has not begun: its clicks may be dated ahead, and there is time until it is final.
    await scan(own);
    await eventually('a minute has begun', async () => Date.now() > own + 8_000);
    await pipeline.post([0, 2, 4, 6].map(clicked));
    const asked = await fetch(`${pipeline.queryApi.url}/v1/users/eraser-mid`, { method: 'DELETE' });
    expect(asked.status).toBe(202);
    await pipeline.post([50, 52, 54, 56].map(clicked));
    const billed = [{ clicks: 8, invalid: 6, invalid_by: { user_velocity: 6 }, rules: 1, lowest: 1 }];
    await eventually('counts', async () => (await counted(ofPerson, own))[0]?.['clicks'] === 8);
    expect(await counted(ofPerson, own)).toEqual(billed);
    const { id } = (await asked.json()) as { id: string };
    await eventually('erased', async () => (await pipeline.get<Job>(`/v1/erasures/${id}`)).state === 'done');
    const answerOf = async (adId: string) =>
      await pipeline.get<{ state: string }>(`/v1/ads/${adId}/aggregated_count?from=${own}&to=${own + minuteMs}`);
    await eventually('final', async () => (await answerOf(ofPerson)).state === 'final');
    await pipeline.post([{ ...person, ad_id: ofOther, event_id: 'late', clicked_at: own + 10_000 }]);
    await eventually('counted again', async () => (await answerOf(ofOther)).state === 'restated');
    expect(await counted(ofPerson, own)).toEqual(billed);
    const names = "uniqExact(user_id) AS names, countIf(startsWith(user_id, 'erased:')) > 0 AS some";
    expect(await rowsOf(`SELECT ${names} FROM click_raw WHERE ad_id = '${ofPerson}'`)).toEqual([{ names: 1, some: 1 }]);
  });

  it('let the late click of a person behind a scanner be billed, by a restatement that adds no click', async () => {
    const { minute: own, robot, otherRobot, prefetch } = scanned;
    const range = `from=${own}&to=${own + minuteMs}`;
    const answerOf = async (more = '') =>
      await pipeline.get<CountAnswer>(`/v1/ads/${scannedAd}/aggregated_count?${range}${more}`);
    const before = { gross: 4, duplicates: 1, invalid: 2, net: 1, invalid_by: { known_bot: 2 } };
    expect(await answerOf('&reasons=true')).toMatchObject({ ...before, state: 'final', pending_late: 0 });
    const askedAt = Date.now();
    // One of the two persons is in another country than the scanner.
    await pipeline.post([
      { ...robot, country: 'KR', user_agent: browser },
      { ...otherRobot, user_agent: browser },
    ]);
    const answers: CountAnswer[] = [];
    await eventually('restated', async () => {
      const answer = await answerOf();
      answers.push(answer);
      // The number of those that wait may be a second older.
      return answer.state === 'restated' && answer.pending_late === 0;
    });
    // A copy that comes too late is told with the count of its country, and that of KR does not change.
    const after = { gross: 5, duplicates: 2, invalid: 0, net: 3, invalid_by: {} };
    expect(await answerOf('&reasons=true')).toMatchObject({ ...after, state: 'restated', pending_late: 0 });
    expect(answers.every(({ state, net }) => net === (state === 'final' ? 1 : 3))).toBe(true);
    expect(await answerOf(`&as_of=${askedAt}`)).toMatchObject({ net: 1, state: 'final' });
    const { restatements } = await pipeline.get<{ restatements: Record<string, unknown>[] }>(
      `/v1/ads/${scannedAd}/restatements?${range}`,
    );
    expect(restatements).toMatchObject([
      { country: 'US', reason: 'late', before: 3, after: 3, before_net: 1, after_net: 3, after_rules: 1 },
    ]);
    const { ads } = await pipeline.get<{ ads: { ad_id: string }[] }>(`/v1/ads/popular_ads?${range}`);
    expect(ads).toContainEqual(expect.objectContaining({ ad_id: scannedAd, count: 3, net: 3, gross: 5 }));
    const exported = await fetch(
      `${pipeline.queryApi.url}/v1/exports/ad_minutes?${range}&ad_id=${scannedAd}&format=ndjson`,
    );
    const rows = (await exported.text())
      .trim()
      .split('\n')
      .map(row => JSON.parse(row));
    expect(rows.map(({ country, clicks, net, invalid }) => ({ country, clicks, net, invalid }))).toEqual([
      ...[{ country: 'US', clicks: 3, net: 3, invalid: 0 }],
    ]);
    const trailOf = async ({ event_id }: { readonly event_id: string }) =>
      (await pipeline.get<{ copies: Record<string, unknown>[] }>(`/v1/clicks/${event_id}`)).copies;
    const job = restatements[0]?.['job'];
    expect(await trailOf(robot)).toMatchObject([
      { country: 'US', outcome: 'counted', facts: ['bot'], validity: 'valid', state: 'restated' },
      { country: 'KR', outcome: 'duplicate', reason: 'too_late', job, facts: [], validity: null },
    ]);
    expect(await trailOf(prefetch)).toMatchObject([
      { outcome: 'counted', facts: ['prefetch'], validity: 'valid' },
      { outcome: 'duplicate', reason: null, facts: [] },
    ]);
    const isoRange = ['--from', new Date(own).toISOString(), '--to', new Date(own + minuteMs).toISOString()];
    const reconciled = await cli('reconcile', ...isoRange);
    expect([reconciled.code, reconciled.stdout]).toEqual([0, expect.stringContaining(', 0 differ')]);
    const { conservation } = await pipeline.get<{ conservation: object }>('/v1/status');
    expect(conservation).toMatchObject({ balanced: true });
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
