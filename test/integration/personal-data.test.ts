/**
 * Personal data after a full run of all processes, on a real broker and a real ClickHouse: it is in no log and no metric,
 * and, where it is hashed, neither in the log of clicks nor in a table. Whoever asks for a person still finds the clicks.
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
});
