/**
 * Personal data after a full run of all processes, on a real broker and a real ClickHouse: it is in no log and no metric,
 * and, where it is hashed, neither in the log of clicks nor in a table. Whoever asks for a person still finds the clicks.
 * Who was shown what is kept, and was erased, is named by nothing that this has left behind.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { ClickHouseConfig, KafkaConfig, loadConfig } from '../../infra/config.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { createProducer } from '../../infra/kafka/producer.ts';
import { createLog } from '../../infra/log.ts';
import { adclicks } from '../support/adclicks.ts';
import { geoDatabase } from '../support/geo-database.ts';
import { startTestPipeline, type TestPipeline } from '../support/pipeline.ts';
import { readCommitted } from '../support/read-committed.ts';
import { eventually } from '../support/wait.ts';

/** Whoever finds one of these texts has found a person. */
const person = { id: 'person-4711-jo', ip: '198.51.100.77', agent: 'BrowserOfJo/4711', page: 'page-of-jo.example' };
/** One whose click another program has written to the log, as it was. */
const foreign = { id: 'person-4712-al', ip: '198.51.100.78', agent: 'BrowserOfAl/4712' };
const secrets = [person, foreign].flatMap(one => Object.values(one));

const minute = Math.floor(Date.now() / 60_000) * 60_000;
const range = `from=${minute - 60_000}&to=${minute + 120_000}`;

let directory = '';
let pipeline: TestPipeline;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'personal-'));
  writeFileSync(join(directory, 'key'), 'k'.repeat(43));
  writeFileSync(join(directory, 'geo.mmdb'), geoDatabase({ '198.51.100.0/24': 'KR' }));
  pipeline = await startTestPipeline({
    LOG_LEVEL: 'debug',
    SINK_ERASURE_SETTLE_MS: '1000',
    INGEST_IP: 'hashed',
    INGEST_USER_ID: 'hashed',
    INGEST_USER_AGENT: 'none',
    INGEST_HASH_SALT: 'daily',
    INGEST_GEO_FILE: join(directory, 'geo.mmdb'),
    PRIVACY_KEY_FILE: join(directory, 'key'),
  });
});
afterAll(async () => {
  await pipeline?.[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

const click = {
  ...{ ad_id: 'ad-1', clicked_at: minute, user_id: person.id, ip: person.ip, user_agent: person.agent },
  referrer: `https://${person.page}/of?${person.id}`,
};
const countBy = async (parameters: string) =>
  (await pipeline.get<{ count: number }>(`/v1/ads/ad-1/aggregated_count?${range}&${parameters}`)).count;

it('finds the clicks of a person whose id and address are hashed, and their country', async () => {
  await pipeline.post([1, 2, 3].map(i => ({ ...click, event_id: `e-${i}` })));
  await pipeline.post({ ...click, event_id: 'e-4', user_id: 'somebody', ip: '198.51.100.99' });
  await eventually('all four', async () => (await countBy('country=KR')) === 4);
  await eventually('the three', async () => (await countBy(`user_id=${person.id}`)) === 3);
  expect(await countBy(`ip=${person.ip}`)).toBe(3);
  expect(await countBy('user_id=nobody')).toBe(0);
});

it('has them neither in the log of clicks nor in a table', async () => {
  const read = await readCommitted(pipeline.broker.brokers, 'clicks');
  const lines = read.map(({ line }) => line).join('\n');
  expect(lines).toContain('hashed:');
  await using clickhouse = openClickHouse(loadConfig(ClickHouseConfig, pipeline.env), { readers: 1 });
  const rows = JSON.stringify(await clickhouse.query('SELECT * FROM click_raw'));
  expect(rows).toContain('hashed:');
  for (const secret of [person.id, person.ip, person.agent])
    expect([lines, rows].filter(text => text.includes(secret))).toEqual([]);
});

it('knows a person of exported clicks that are fed again, who is erased with all of them below', async () => {
  const personsIn = async () => {
    const read = await readCommitted(pipeline.broker.brokers, 'clicks');
    const clicks = read.map(({ line }) => JSON.parse(line) as Record<string, string>);
    return { clicks: clicks.length, persons: new Set(clicks.map(({ user_id, ip }) => `${user_id} ${ip}`)) };
  };
  const before = await personsIn();
  expect([before.clicks, before.persons.size]).toEqual([4, 2]);
  const file = join(directory, 'exported.csv');
  writeFileSync(file, await (await fetch(`${pipeline.queryApi.url}/v1/exports/clicks?${range}&format=csv`)).text());
  const fed = await adclicks({ ADCLICKS_INGEST_URL: pipeline.ingest.url }, 'feed', file, '--state', `${file}.json`);
  expect(fed).toMatchObject({ code: 0 });
  expect(await personsIn()).toEqual({ clicks: 8, persons: before.persons });
});

it('has them in no log and no metric of any process, whatever went wrong with their clicks', async () => {
  await using producer = createProducer(
    createKafka(
      loadConfig(KafkaConfig, { KAFKA_BROKERS: pipeline.broker.brokers }),
      'foreign',
      createLog('test', 'error'),
    ),
    { acks: -1, timeoutMs: 5_000 },
  );
  const wrong = {
    ad_id: 'no such ad!',
    event_id: 'f-1',
    clicked_at: minute,
    user_id: foreign.id,
    ip: foreign.ip,
    user_agent: foreign.agent,
  };
  await producer.send('clicks', [{ partition: 0, value: JSON.stringify(wrong) }]);
  expect((await pipeline.post({ ...click, ad_id: 'no such ad!' })).status).toBe(400);
  expect((await pipeline.post({ ...click, clicked_at: 1 })).status).toBe(400);
  expect(
    (
      await pipeline.post([
        click,
        {
          ...click,
          ip: `${person.ip}:80`,
          country: person.id,
          user_agent: `${person.agent}\n`,
          referrer: `x:${person.page}`,
        },
      ])
    ).status,
  ).toBe(202);
  const asked = [
    `/v1/ads/ad-1/aggregated_count?${range}&user_id=${person.id}&ip=${person.ip}x`,
    `/v1/ads/ad-1/aggregated_count?user_id=${person.id}&from=x`,
    `/v1/ads/popular_ads?${range}&user_id=${person.id}&uniques=true`,
    `/v1/ads/popular_ads?${range}&ip=${person.ip}&nothing=${foreign.id}`,
    `/v1/clicks/${person.id}`,
    `/v1/quarantine?${range}`,
    `/v1/users/${person.id}`,
  ];
  for (const path of asked) await (await fetch(`${pipeline.queryApi.url}${path}`)).text();
  await eventually('the foreign line in quarantine', async () => {
    const { quarantine } = await pipeline.get<{ quarantine: Record<string, number> }>('/v1/status');
    return quarantine['malformed'] === 1;
  });
  await expectNoneNamed();
});

it('names nobody who was shown what is kept and was erased, in any log, metric, address, table or topic', async () => {
  const erased = [person.id, foreign.id];
  expect(await kindsShown(person.id)).toContain('click');
  expect(await kindsShown(foreign.id)).toContain('quarantined_line');
  const wrong: [string, string, object?][] = [
    ['GET', `/v1/users/${person.id}/export?for=${foreign.id}`],
    ['POST', `/v1/users/${person.id}/export`],
    ['DELETE', `/v1/users/${person.id}${'x'.repeat(600)}`],
    ['DELETE', `/v1/users/${person.id}%00`],
    ['POST', '/v1/erasures', { user_ids: [person.id, 7] }],
    ['POST', '/v1/erasures', { user_ids: person.id }],
    ['POST', '/v1/erasures', { user_ids: [], person: foreign.id }],
    ['GET', `/v1/erasures/${person.id}`],
  ];
  for (const [method, path, body] of wrong) await send(method, path, body);
  const filter = { user_ids: { out: [person.id] } };
  expect((await send('PUT', '/v1/filters/no-jo', filter)).status).toBe(200);
  expect((await send('DELETE', `/v1/users/${person.id}`)).status).toBe(409);
  expect((await send('PUT', '/v1/filters/no-jo', { user_ids: { out: ['bot-*'] } })).status).toBe(200);
  const begun = [
    await send('DELETE', `/v1/users/${person.id}`),
    await send('POST', '/v1/erasures', { user_ids: [foreign.id] }),
  ];
  for (const { status, text, location } of begun) {
    expect(status).toBe(202);
    expect(location).toMatch(/^\/v1\/erasures\/[0-9a-f]{32}$/);
    const done = await eventually('erased', async () => {
      const answer = await send('GET', location);
      return JSON.parse(answer.text).state === 'done' && answer;
    });
    expect(namedIn(text + done.text)).toEqual([]);
  }
  for (const id of erased) expect(await kindsShown(id)).toEqual(['about', 'end']);

  await using clickhouse = openClickHouse(loadConfig(ClickHouseConfig, pipeline.env), { readers: 1 });
  const recorded = async () => JSON.stringify(await clickhouse.query('SELECT * FROM audit_record'));
  const acts = ['GET /v1/users/:user_id/export', 'DELETE /v1/users/:user_id', 'POST /v1/erasures'];
  await eventually('the audit log', async () => {
    const text = await recorded();
    return acts.every(act => text.includes(`"${act}"`));
  });
  // Of all clicks, also of those that were fed again, only the ones of somebody else are left.
  const left = "SELECT uniqExact(user_id) AS users FROM click_raw WHERE user_id NOT LIKE 'erased:%'";
  expect(await clickhouse.query(left)).toEqual([{ users: 1 }]);
  // Somebody else who has clicked on the same page still has it.
  const theirs = "click_raw WHERE user_id LIKE 'erased:%'";
  const tables = [theirs, 'quarantine', 'audit_record', 'stored_filter', 'replay_job', 'system.mutations'];
  for (const table of tables) {
    const rows = JSON.stringify(await clickhouse.query(`SELECT * FROM ${table}`));
    expect([table, namedIn(rows)]).toEqual([table, []]);
  }
  expect(await clickhouse.query(`SELECT count() > 2 AS some FROM ${theirs}`)).toEqual([{ some: 1 }]);
  for (const topic of ['erasures', 'audit']) {
    const read = await readCommitted(pipeline.broker.brokers, topic, 'traceparent');
    expect(read.length).toBeGreaterThan(0);
    expect([topic, namedIn(JSON.stringify(read))]).toEqual([topic, []]);
  }
  await expectNoneNamed();
});

const namedIn = (text: string) => secrets.filter(secret => text.includes(secret));

/** Also says of what trace it is, as a proxy would. No header of an answer names anybody. */
async function send(method: string, path: string, body?: object) {
  const traced = { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' };
  const response = await fetch(`${pipeline.queryApi.url}${path}`, {
    method,
    headers: body === undefined ? traced : { ...traced, 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  expect(namedIn(JSON.stringify([...response.headers]))).toEqual([]);
  const { status, headers } = response;
  return { status, text: await response.text(), location: headers.get('location') ?? '' };
}

/** Of each line of what is kept of a person. */
async function kindsShown(id: string): Promise<string[]> {
  const { status, text } = await send('GET', `/v1/users/${id}/export`);
  expect(status).toBe(200);
  return text
    .trim()
    .split('\n')
    .map(line => (JSON.parse(line) as { kind: string }).kind);
}

async function expectNoneNamed(): Promise<void> {
  const { ingest, aggregator, sink, queryApi, jobs } = pipeline;
  for (const [name, service] of Object.entries({ ingest, aggregator, sink, queryApi, jobs })) {
    const metrics = await (await fetch(`${service.url}/metrics`)).text();
    expect(service.logs()).toContain('"level"');
    const found = secrets.flatMap(secret => [
      ...service
        .logs()
        .split('\n')
        .filter(line => line.includes(secret)),
      ...metrics.split('\n').filter(line => line.includes(secret)),
    ]);
    expect([name, found]).toEqual([name, []]);
  }
}
