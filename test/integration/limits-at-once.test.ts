/**
 * Soft limits on a real broker and a real ClickHouse, near which two query APIs get many requests at the same moment: what
 * is exceeded is exceeded by one each, no process halts, and no erased person is left in a filter of which nobody is told.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import type { OutgoingRecord } from '../../infra/kafka/outgoing-record.ts';
import { createProducer } from '../../infra/kafka/producer.ts';
import { createLog } from '../../infra/log.ts';
import { names } from '../../infra/topics.ts';
import { createClickIdMint } from '../../ingest/click-id.ts';
import { HotAdConfig, hotAdTermsOf, validityRulesRecord } from '../../ingest/hot-ads/rule.ts';
import { mostErasedForms } from '../../ingest/privacy/erasure-book.ts';
import { erasureRecords, formOf } from '../../ingest/privacy/erasure-record.ts';
import { followErasures } from '../../ingest/privacy/follow-erasures.ts';
import { recommendedRules } from '../../ingest/validity/rules.ts';
import { recordsOf } from '../../query-api/log/job-log.ts';
import { maxFilters } from '../../query-api/store/filters/filter-store.ts';
import { startTestPipeline, type TestPipeline } from '../support/pipeline.ts';
import { type Service, startService } from '../support/service.ts';
import { eventually } from '../support/wait.ts';

const minuteMs = 60_000;
/** Above what waits in turn in one process, so that some are told to come again. */
const atOnce = 50;

interface Answer {
  readonly status: number;
  readonly code: string;
  readonly body: Readonly<Record<string, unknown>>;
}

let directory = '';
let pipeline: TestPipeline;
let second: Service;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'limits-'));
  writeFileSync(join(directory, 'key'), 'k'.repeat(43));
  pipeline = await startTestPipeline({
    JOBS_MAX_OPEN: '5',
    PRIVACY_KEY_FILE: join(directory, 'key'),
    SINK_ERASURE_SETTLE_MS: '1000',
    OUT_OF_ORDERNESS_MS: '1000',
    ALLOWED_LATENESS_MS: '1000',
  });
  second = await startService('query-api/main.ts', 'QUERY_API_PORT', pipeline.env);
  await second.ready();
});
afterAll(async () => {
  await second?.[Symbol.asyncDispose]();
  await pipeline?.[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

async function ask({ url }: Service, method: string, path: string, body?: object): Promise<Answer> {
  const response = await fetch(`${url}${path}`, {
    method,
    ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
  const answer = (await response.json()) as Record<string, unknown>;
  return { status: response.status, code: String(answer['code'] ?? response.status), body: answer };
}

/** Of both processes, at the same moment. Returns how many got which status or code. */
async function fromBoth(asking: (api: Service, name: string) => Promise<Answer>): Promise<Record<string, number>> {
  const all = [pipeline.queryApi, second].flatMap((api, process) =>
    Array.from({ length: atOnce }, (_, i) => asking(api, `${process}-${i}`)),
  );
  const answers = await Promise.all(all);
  return Object.fromEntries([...Map.groupBy(answers, ({ code }) => code)].map(([code, those]) => [code, those.length]));
}

const kafkaOf = () => createKafka(loadConfig(KafkaConfig, pipeline.env), 'test', createLog('test', 'error'));

async function append(topic: string, records: readonly OutgoingRecord[]): Promise<void> {
  await using producer = createProducer(kafkaOf(), { acks: -1, timeoutMs: 30_000 });
  for (let i = 0; i < records.length; i += 500) await producer.send(topic, records.slice(i, i + 500));
}

const rowsOf = async (sql: string) => {
  const auth = `${pipeline.clickHouse.env['CLICKHOUSE_USER']}:${pipeline.clickHouse.env['CLICKHOUSE_PASSWORD'] ?? ''}`;
  const url = new URL(pipeline.clickHouse.env['CLICKHOUSE_URL'] ?? '');
  url.searchParams.set('database', pipeline.clickHouse.env['CLICKHOUSE_DATABASE'] ?? 'default');
  const response = await fetch(url, {
    ...{ method: 'POST', body: sql },
    headers: { authorization: `Basic ${Buffer.from(auth).toString('base64')}` },
  });
  return (await response.text()).trim();
};

/** All processes go on: a click is taken, counted and copied. */
async function worksOn(ad: string): Promise<void> {
  const minute = Date.now() - (Date.now() % minuteMs);
  const { status } = await pipeline.post({ ad_id: ad, event_id: ad, clicked_at: Date.now() });
  expect(status).toBe(202);
  const range = `from=${minute - minuteMs}&to=${minute + 2 * minuteMs}`;
  for (const api of [pipeline.queryApi, second])
    await eventually(`a click of ${ad} is counted`, async () => {
      const { body } = await ask(api, 'GET', `/v1/ads/${ad}/aggregated_count?${range}`);
      return body['count'] === 1;
    });
}

describe('an erasure and a filter that names the person', () => {
  it('that is shown only later are told of each other, and the id is gone once the filter is', async () => {
    const named = { user_ids: { out: ['person-jo', 'bot-*'] } };
    // The filter is in the log, and nobody sees it.
    pipeline.sink.signal('SIGSTOP');
    expect(await ask(second, 'PUT', '/v1/filters/faster', named)).toMatchObject({ status: 503, code: 'unavailable' });
    const begun = await ask(pipeline.queryApi, 'DELETE', '/v1/users/person-jo');
    expect(begun).toMatchObject({ status: 202, body: { state: 'running', filters: [] } });
    const path = `/v1/erasures/${begun.body['id']}`;
    pipeline.sink.signal('SIGCONT');
    await eventually('the erasure names the filter', async () => {
      const { body } = await ask(second, 'GET', path);
      return String(body['filters']) === 'faster' && (body['nodes'] as { state: string }[])[0]?.state === 'done';
    });
    expect(await ask(pipeline.queryApi, 'GET', path)).toMatchObject({ body: { state: 'running' } });
    expect((await ask(second, 'DELETE', '/v1/filters/faster')).body).toMatchObject(named);
    expect(await ask(pipeline.queryApi, 'GET', path)).toMatchObject({ body: { state: 'done', filters: [] } });
    expect(await rowsOf('SELECT definition FROM stored_filter FINAL')).toBe('{}');
  });

  it('never end with a filter that names an erased person untold, whoever is faster', async () => {
    const said: Record<string, number> = {};
    for (let i = 0; i < 20; i++) {
      const [person, filter] = [`racer-${i}`, `race-${i}`];
      const [put, erased] = await Promise.all([
        ask(second, 'PUT', `/v1/filters/${filter}`, { user_ids: { in: [person] } }),
        ask(pipeline.queryApi, 'DELETE', `/v1/users/${person}`),
      ]);
      // 503: it is in the log, and not shown yet.
      expect([200, 503]).toContain(put.status);
      said[erased.code] = (said[erased.code] ?? 0) + 1;
      if (erased.status === 409) expect(erased).toMatchObject({ code: 'named_in_filter', body: { filters: [filter] } });
      else
        await eventually('the erasure names the filter', async () => {
          const { body } = await ask(second, 'GET', `/v1/erasures/${erased.body['id']}`);
          return body['state'] === 'running' && String(body['filters']) === filter;
        });
    }
    console.log(`erasure and filter at once: ${JSON.stringify(said)}`);
  });
});

describe('at the same moment, in two processes', () => {
  it('filters are stored up to their limit, and one more at most', async () => {
    const before = Number(await rowsOf('SELECT count() FROM stored_filter FINAL'));
    const rows = Array.from({ length: maxFilters - 10 - before }, (_, i) => ({
      ...{ id: `old-${i}`, definition: '{"countries":{"in":["KR"]}}', deleted: 0 },
      ...{ created_at: Date.now(), updated_at: Date.now(), logged: 1 },
    }));
    await append('filters', recordsOf({ kind: 'filter', rows }));
    await eventually(
      'all are stored',
      async () => (await rowsOf('SELECT count() FROM stored_filter FINAL')) === String(maxFilters - 10),
    );
    let round = 0;
    const stored = await eventually('the limit is reached', async () => {
      const of = ++round;
      const put = (api: Service, name: string) =>
        ask(api, 'PUT', `/v1/filters/new-${of}-${name}`, { countries: { in: ['KR'] } });
      console.log(`filters: ${JSON.stringify(await fromBoth(put))}`);
      const n = Number(await rowsOf('SELECT count() FROM stored_filter FINAL'));
      return n >= maxFilters && n;
    });
    expect([maxFilters, maxFilters + 1]).toContain(stored);
    expect(await ask(second, 'PUT', '/v1/filters/another', { countries: { in: ['KR'] } })).toMatchObject({
      ...{ status: 409, code: 'too_many_filters' },
    });
    expect([200, 503]).toContain((await ask(second, 'PUT', '/v1/filters/old-1', { countries: { in: ['DE'] } })).status);
  });

  it('jobs are accepted up to their limit, and one more at most, also while no sink runs', async () => {
    await pipeline.jobs.kill();
    const to = Date.now() - (Date.now() % minuteMs);
    await pipeline.post({ ad_id: 'a', event_id: 'a', clicked_at: to - 1_000 });
    await pipeline.post({ ad_id: 'a', event_id: 'b', clicked_at: Date.now() });
    const range = { from: to - 2 * minuteMs, to: to - minuteMs };
    const replays = () => fromBoth(api => ask(api, 'POST', '/v1/replays', range));
    await eventually('the range is final', async () => {
      const { state } = (await ask(second, 'GET', `/v1/ads/a/aggregated_count?from=${range.from}&to=${range.to}`)).body;
      return state === 'final';
    });
    const said = await replays();
    console.log(`replays: ${JSON.stringify(said)}`);
    const open = async () => Number(await rowsOf(`SELECT count() FROM replay_job FINAL WHERE kind = 'replay'`));
    expect([5, 6]).toContain(await open());
    expect(said['202']).toBeLessThanOrEqual(await open());
    expect((await replays())['202']).toBeUndefined();
    // Of the other kind, of which no one is open, and with nobody to show them.
    pipeline.sink.signal('SIGSTOP');
    const unseen = await fromBoth(api => ask(api, 'POST', '/v1/reconciliations', range));
    pipeline.sink.signal('SIGCONT');
    console.log(`reconciliations without a sink: ${JSON.stringify(unseen)}`);
    const asked = async () => Number(await rowsOf(`SELECT count() FROM replay_job FINAL WHERE reason = 'asked'`));
    await eventually('what is in the log is shown', async () => (await asked()) >= (unseen['202'] ?? 0));
    expect(await asked()).toBeLessThanOrEqual(10);
    await pipeline.restart('jobs');
    await eventually(
      'all are done',
      async () =>
        (await rowsOf(
          `SELECT count() FROM replay_job FINAL WHERE reason IN ('replay', 'asked') AND state != 'done'`,
        )) === '0',
    );
  });

  it('versions of rules are announced up to their limit, and one more at most', async () => {
    const terms = hotAdTermsOf(loadConfig(HotAdConfig, {}));
    const mint = createClickIdMint();
    const drafts = Array.from({ length: 990 }, () => ({
      ...{ ruleId: mint(Date.now()), from: null, rules: recommendedRules, note: 'a draft', by: 'test' },
    }));
    await append(
      names('').topic('hot-ads'),
      drafts.map(draft => validityRulesRecord(draft, terms)),
    );
    const said = await fromBoth(api => ask(api, 'POST', '/v1/rules', { rules: recommendedRules, note: 'at once' }));
    console.log(`rules: ${JSON.stringify(said)}`);
    const { body } = await ask(second, 'GET', '/v1/rules');
    expect(body['total']).toBeGreaterThanOrEqual(990 + (said['201'] ?? 0));
    expect([1_000, 1_001]).toContain(body['total']);
    await worksOn('after-the-rules');
  });

  it('erasures are begun while there is room, and exceed it by a record each at most', async () => {
    const texts = (n: number, of: string) => Array.from({ length: n }, (_, i) => formOf(`${of}-${i}`));
    const room = 100_000;
    let last = '';
    for (let left = mostErasedForms - room; left > 0; left -= 100_000) {
      const { id, records } = erasureRecords(texts(Math.min(left, 100_000), `before-${left}`), 1);
      await append('erasures', records);
      last = id;
    }
    for (const api of [pipeline.queryApi, second])
      await eventually(
        'all of them are read',
        async () => (await ask(api, 'GET', `/v1/erasures/${last}`)).status === 200,
      );
    // Each has about 79,000 texts, which are four records.
    const persons = Array.from({ length: 1_000 }, (_, i) => `many-${i}`);
    const said = await fromBoth((api, name) =>
      ask(api, 'POST', '/v1/erasures', { user_ids: persons.map(person => `${person}-${name}`) }),
    );
    await using followed = followErasures({ kafka: kafkaOf(), names: names(''), log: createLog('test', 'error') });
    await followed.ready(AbortSignal.timeout(60_000));
    await followed.readToEnd();
    console.log(`erasures: ${JSON.stringify(said)}, which makes ${followed.book.size} of ${mostErasedForms}`);
    expect(followed.book.size).toBeGreaterThan(mostErasedForms - room);
    expect(followed.book.size).toBeLessThanOrEqual(mostErasedForms + 2 * 20_001);
    expect([1, 2]).toContain(said['202']);
    expect(said['too_many_erasures']).toBeGreaterThan(0);
    expect(await ask(second, 'POST', '/v1/erasures', { user_ids: persons })).toMatchObject({
      ...{ status: 409, code: 'too_many_erasures' },
    });
    await worksOn('after-the-erasures');
    expect((await ask(second, 'GET', '/v1/erasures/00000000000000000000000000000000')).status).toBe(404);
  });
});
