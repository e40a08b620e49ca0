/**
 * A thousand persons of one day are erased, on a real broker and two real ClickHouse nodes of one shard, of which one is
 * away at first and one is emptied afterwards. No text of them is left, nobody is named in the log of erasures or in the
 * audit log, and every count, unique total, reconciliation and comparison is as it was.
 */
import { createSecretKey } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { openAdmin } from '../../infra/kafka/admin.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { createProducer } from '../../infra/kafka/producer.ts';
import { createLog } from '../../infra/log.ts';
import { limits } from '../../ingest/click.ts';
import { erasedUntil } from '../../ingest/privacy/erasure-record.ts';
import { hashedUserId, saltOf } from '../../ingest/privacy/personal-data.ts';
import { adclicks } from '../support/adclicks.ts';
import { type ClickHouseNode, nodeAccess, startClickHouseNode } from '../support/clickhouse-node.ts';
import { startTestPipeline, type TestPipeline } from '../support/pipeline.ts';
import { readCommitted } from '../support/read-committed.ts';
import { eventually } from '../support/wait.ts';

interface ErasureAnswer {
  readonly id: string;
  readonly state: string;
  readonly persons: number;
  readonly asked_at: string;
  readonly nodes: readonly { readonly node: string; readonly state: string }[];
  readonly log: readonly { readonly topic: string; readonly kept_until: string }[];
}

const key = 'k'.repeat(43);
const day = saltOf('daily', Date.now());
/** The one that begins next when the pipeline is up: however busy the machine is, no click of it is too late. */
let minute = 0;
const persons = Array.from({ length: 1_000 }, (_, i) => `person-${i}-jo`);
const first = persons[0] ?? '';
/** Also as ingest would have kept them by other settings. */
const hashes = ['', day].map(salt => hashedUserId(createSecretKey(key, 'utf8'), first, salt));
const address = '198.51.100.77';
const stays = 'somebody-else';

let directory = '';
let nodes: readonly [ClickHouseNode, ClickHouseNode];
let pipeline: TestPipeline;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'erasure-'));
  writeFileSync(join(directory, 'key'), key);
  nodes = [await startClickHouseNode(), await startClickHouseNode()];
  pipeline = await startTestPipeline({
    ...nodeAccess,
    CLICKHOUSE_URL: nodes.map(({ url }) => url).join(','),
    PRIVACY_KEY_FILE: join(directory, 'key'),
    LOG_LEVEL: 'debug',
    REPLICA_CHECK_INTERVAL_MS: '10000',
    SINK_ERASURE_SETTLE_MS: '1000',
    OUT_OF_ORDERNESS_MS: '1000',
    ALLOWED_LATENESS_MS: '1000',
  });
  minute = (Math.floor(Date.now() / 60_000) + 1) * 60_000;
});
afterAll(async () => {
  await pipeline?.[Symbol.asyncDispose]();
  for (const node of nodes ?? []) await node[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

async function ask<T>(method: string, path: string, body?: object): Promise<{ status: number; body: T }> {
  const headers = body ? { 'content-type': 'application/json' } : undefined;
  const response = await fetch(`${pipeline.queryApi.url}${path}`, {
    method,
    ...(headers && { headers, body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as T };
}

async function rowsIn(node: ClickHouseNode, table: string): Promise<string> {
  return Buffer.from(await node.clickhouse.queryLines(`SELECT * FROM ${table} FINAL ORDER BY ALL`)).toString();
}

/** Every copy of every row, as it is on disk. */
async function textsIn(node: ClickHouseNode): Promise<string> {
  const lines = ['click_raw', 'quarantine', 'stored_filter', 'audit_record'].map(table =>
    node.clickhouse.queryLines(`SELECT * FROM ${table}`),
  );
  const mutations = node.clickhouse.queryLines('SELECT * FROM system.mutations');
  return Buffer.concat(await Promise.all([...lines, mutations])).toString();
}

const secrets = [...persons, ...hashes, address];
const foundIn = (text: string) => secrets.filter(secret => text.includes(secret)).slice(0, 5);

const stateOf = async (id: string) => (await ask<ErasureAnswer>('GET', `/v1/erasures/${id}`)).body;
const answerOf = async () => {
  const { count, uniques, state } = await pipeline.get<Record<string, unknown>>(
    `/v1/ads/ad-1/aggregated_count?from=${minute}&to=${minute + 60_000}&uniques=true`,
  );
  return { count, uniques, state };
};

let before: unknown;
let erasure: ErasureAnswer;
let lastErasure = '';

it('has the clicks of a thousand persons, counted and final', async () => {
  const clicks = [...persons, ...persons, ...hashes, stays].map((user_id, i) => ({
    ...{
      ad_id: 'ad-1',
      event_id: `e-${i}`,
      clicked_at: minute + (i % 50),
      user_id,
      ip: user_id === stays ? '198.51.100.9' : address,
    },
  }));
  for (let i = 0; i < clicks.length; i += 500) expect((await pipeline.post(clicks.slice(i, i + 500))).status).toBe(202);
  await using producer = createProducer(
    createKafka(
      loadConfig(KafkaConfig, { KAFKA_BROKERS: pipeline.broker.brokers }),
      'foreign',
      createLog('test', 'error'),
    ),
    { acks: -1, timeoutMs: 5_000 },
  );
  const wrong = { ad_id: 'no such ad!', event_id: 'f-1', clicked_at: minute, user_id: first, ip: address };
  const lines = [
    JSON.stringify(wrong),
    `{"user_id": "${first}", oops`,
    JSON.stringify({ ...wrong, user_id: stays, ip: '' }),
  ];
  await producer.send('clicks', [{ partition: 0, value: lines.join('\n') }]);
  for (const node of nodes)
    await eventually(`everything in ${node.name}`, async () => {
      const lines = (await rowsIn(node, 'quarantine').catch(() => '')).trim().split('\n').length;
      return lines === 3 && (await rowsIn(node, 'click_raw')).trim().split('\n').length === clicks.length;
    });
  before = await eventually('a final answer', async () => {
    const answer = await answerOf();
    return answer.state === 'final' && answer;
  });
  expect(before).toMatchObject({ count: 2_003, uniques: { count: 1_003, is_exact: true } });
  expect(foundIn(await textsIn(nodes[0]))).not.toEqual([]);
});

it('shows a person what is kept, in the plain form and in both hashed ones', async () => {
  const response = await fetch(`${pipeline.queryApi.url}/v1/users/${first}/export`);
  const lines = (await response.text())
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Record<string, string>);
  expect(lines.map(({ kind }) => kind)).toEqual([
    ...['about', 'click', 'click', 'click', 'click', 'quarantined_line', 'quarantined_line', 'end'],
  ]);
  const clicks = lines.filter(({ kind }) => kind === 'click');
  expect(new Set(clicks.map(({ user_id }) => user_id))).toEqual(new Set([first, ...hashes]));
  const [click] = clicks;
  expect(Date.parse(click?.['kept_until'] ?? '') - Date.parse(click?.['clicked_at'] ?? '')).toBe(35 * 86_400_000);
  expect(lines[0]).toMatchObject({ fields: expect.objectContaining({ ip: expect.any(String) }) });
});

it('refuses while a stored filter names one of them', async () => {
  expect((await ask('PUT', '/v1/filters/no-jo', { user_ids: { out: [first, 'bot-*'] } })).status).toBe(200);
  const refused = await ask<{ code: string; filters: string[] }>('DELETE', `/v1/users/${first}`);
  expect(refused).toMatchObject({ status: 409, body: { code: 'named_in_filter', filters: ['no-jo'] } });
  expect((await ask('PUT', '/v1/filters/no-jo', { user_ids: { out: ['bot-*'] } })).status).toBe(200);
});

it('waits for a node that is away, and survives a sink that is killed', async () => {
  const [here, away] = nodes;
  await away.kill();
  const started = await ask<ErasureAnswer>('POST', '/v1/erasures', { user_ids: persons });
  expect(started).toMatchObject({ status: 202, body: { persons: 1_000, state: 'running' } });
  erasure = started.body;
  pipeline.sink.kill();
  await pipeline.restart('sink');
  await eventually('the node that is there has done it', async () => {
    const { nodes: states } = await stateOf(erasure.id);
    return states.find(({ node }) => node === here.name)?.state === 'done';
  });
  expect(await stateOf(erasure.id)).toMatchObject({ state: 'running' });
  expect((await stateOf(erasure.id)).nodes.find(({ node }) => node === away.name)?.state).toBe('away');
  await away.start();
  await eventually('both have', async () => (await stateOf(erasure.id)).state === 'done');
});

it('leaves no text of them in any copy of a row, and says until when the log has some', async () => {
  for (const node of nodes) {
    const texts = await textsIn(node);
    expect([node.name, foundIn(texts)]).toEqual([node.name, []]);
    expect(texts).toContain(stays);
  }
  const { log } = await stateOf(erasure.id);
  expect(log.map(({ topic }) => topic)).toEqual(['clicks', 'quarantine']);
  for (const { kept_until } of log) {
    expect(Date.parse(kept_until)).toBeGreaterThan(Date.now() + 7 * 86_400_000);
    expect(Date.parse(kept_until)).toBeLessThan(Date.now() + 8.1 * 86_400_000);
  }
});

it('names nobody in the log of erasures, in the audit log or in a log of a process', async () => {
  const again = await ask<ErasureAnswer>('DELETE', `/v1/users/${first}`);
  expect(again.status).toBe(202);
  lastErasure = again.body.id;
  for (const topic of ['erasures', 'audit']) {
    const records = await eventually(topic, async () => {
      const read = await readCommitted(pipeline.broker.brokers, topic);
      return read.length > 0 && read;
    });
    expect([topic, foundIn(records.map(({ line }) => line).join('\n'))]).toEqual([topic, []]);
  }
  const { ingest, aggregator, sink, queryApi, jobs } = pipeline;
  for (const [name, service] of Object.entries({ ingest, aggregator, sink, queryApi, jobs }))
    expect([name, foundIn(service.logs())]).toEqual([name, []]);
});

it('changes no count and no number of users, and reconciles without a difference', async () => {
  expect(await answerOf()).toEqual(before);
  const job = await ask<{ id: string }>('POST', '/v1/reconciliations', {
    from: new Date(minute).toISOString(),
    to: new Date(minute + 60_000).toISOString(),
  });
  expect(job.status).toBe(202);
  const result = await eventually('reconciled', async () => {
    const { body } = await ask<Record<string, unknown>>('GET', `/v1/reconciliations/${job.body.id}`);
    return body['state'] === 'done' && body;
  });
  expect(result).toMatchObject({ result: { drift: [], cells_compared: 1, cells_differing: 0, minutes_left_out: 0 } });
  for (const table of ['click_raw', 'ad_minute', 'quarantine'])
    await eventually(
      `equal rows in ${table}`,
      async () => (await rowsIn(nodes[0], table)) === (await rowsIn(nodes[1], table)),
    );
});

it('keeps them erased in a node that reads the log again, also where it is emptied', async () => {
  const [, node] = nodes;
  const rows = await rowsIn(node, 'click_raw');
  expect(await pipeline.sink.stop()).toBe(0);
  const kafka = createKafka(
    loadConfig(KafkaConfig, { KAFKA_BROKERS: pipeline.broker.brokers }),
    'test',
    createLog('test', 'error'),
  );
  const groups = kafka.admin();
  await groups.connect();
  await groups.deleteGroups([`sink-raw-${node.name}`, `sink-aggregates-${node.name}`]);
  await groups.disconnect();
  await using admin = await openAdmin(kafka);
  const ends = await admin.endOffsets('clicks');
  await pipeline.restart('sink');
  // A sink commits what it has inserted.
  await eventually('it is read again', async () => {
    const commits = await admin.commits(`sink-raw-${node.name}`, 'clicks');
    return [...ends].every(([partition, end]) => (commits.get(partition)?.offset ?? 0) >= end);
  });
  expect(foundIn(await textsIn(node))).toEqual([]);
  expect(await rowsIn(node, 'click_raw')).toBe(rows);
  await node.kill();
  node.removeDirectory();
  await node.start();
  await eventually('it is filled', async () => (await rowsIn(node, 'click_raw').catch(() => '')) === rows);
  expect(foundIn(await textsIn(node))).toEqual([]);
  await eventually('it says so', async () => (await stateOf(erasure.id)).state === 'done');
  await eventually('replicas agree', async () => {
    const { replicas } = await pipeline.get<{ replicas: { differences: number } | null }>('/v1/status');
    return replicas?.differences === 0;
  });
});

it('keeps what a person clicks afterwards, and counts no minute in which the person has two names', async () => {
  const { asked_at } = await stateOf(lastErasure);
  const end = erasedUntil(Date.parse(asked_at));
  const later = { ad_id: 'ad-2', user_id: first, ip: address };
  // A click at that time may not be further ahead of the clock.
  await sleep(Math.max(0, end - limits.maxAheadMs + 1_000 - Date.now()));
  const posted = [end - 1, end].map((clicked_at, i) => ({ ...later, event_id: `later-${i}`, clicked_at }));
  expect((await pipeline.post(posted)).status).toBe(202);
  for (const node of nodes)
    await eventually('it is there', async () => {
      const rows = (await rowsIn(node, 'click_raw')).split('\n').filter(row => row.includes('"later-'));
      const named = rows.filter(row => row.includes(`"${first}"`));
      return rows.length === 2 && named.length === 1 && named[0]?.includes('"later-1"');
    });
});

it('is asked for by adclicks', async () => {
  const env = { ADCLICKS_QUERY_API_URL: pipeline.queryApi.url };
  const erased = await adclicks(env, 'users', 'erase', first, '--wait');
  expect(erased).toMatchObject({ code: 0 });
  expect(erased.stdout).toContain('done');
  const exported = await adclicks(env, 'users', 'export', first);
  expect(
    exported.stdout
      .trim()
      .split('\n')
      .map(line => (JSON.parse(line) as { kind: string }).kind),
  ).toEqual(['about', 'end']);
});
