/** Two ClickHouse nodes of one shard, filled from one log, read as one store, by query API and job runner. */
import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { openAdmin } from '../../infra/kafka/admin.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { createLog } from '../../infra/log.ts';
import { type ClickHouseNode, nodeAccess, startClickHouseNode } from '../support/clickhouse-node.ts';
import { startTestPipeline, type TestPipeline } from '../support/pipeline.ts';
import { eventually } from '../support/wait.ts';

let nodes: readonly [ClickHouseNode, ClickHouseNode];
let pipeline: TestPipeline;

beforeAll(async () => {
  nodes = [await startClickHouseNode(), await startClickHouseNode()];
  pipeline = await startTestPipeline({
    ...nodeAccess,
    CLICKHOUSE_URL: nodes.map(({ url }) => url).join(','),
    REPLICA_CHECK_INTERVAL_MS: '5000',
    OUT_OF_ORDERNESS_MS: '1000',
    ALLOWED_LATENESS_MS: '1000',
  });
});
afterAll(async () => {
  await pipeline?.[Symbol.asyncDispose]();
  for (const node of nodes ?? []) await node[Symbol.asyncDispose]();
});

/** Progress goes on by itself, in one a moment before it does in the other. */
const counted = ['click_raw', 'ad_minute', 'ad_minute_by_ad', 'quarantine'] as const;
const said = ['restatement', 'recounted_minute', 'minute_recount', 'replay_job', 'stored_filter'] as const;
const tables = [...counted, ...said] as const;

/** All rows of a table as FINAL has them. */
async function rowsIn(node: ClickHouseNode, table: string): Promise<string> {
  return Buffer.from(await node.clickhouse.queryLines(`SELECT * FROM ${table} FINAL ORDER BY ALL`)).toString();
}

const kafkaConfig = () => loadConfig(KafkaConfig, { KAFKA_BROKERS: pipeline.broker.brokers });
const hourMs = 3_600_000;
/** Two hours: the test may begin at the end of one. */
const begin = Math.floor(Date.now() / hourMs) * hourMs;
let posted = 0;
async function post(clicks: number): Promise<void> {
  const batch = Array.from({ length: clicks }, (_, i) => ({
    ad_id: `ad-${(posted + i) % 7}`,
    event_id: `e-${posted + i}`,
    clicked_at: Date.now(),
  }));
  posted += clicks;
  const { status } = await pipeline.post(batch);
  expect(status).toBe(202);
}

/** Reads on and on, as clients do, and keeps what was not answered well. */
function readOn() {
  const failures: string[] = [];
  let [answers, isOver] = [0, false];
  const [from, to] = [new Date(begin).toISOString(), new Date(begin + 2 * hourMs).toISOString()];
  const paths = [
    `/v1/ads/ad-1/aggregated_count?from=${from}&to=${to}`,
    `/v1/ads/popular_ads?from=${from}&to=${to}`,
    `/v1/ads/ad-2/aggregated_count?from=${from}&to=${to}&uniques=true`,
    '/v1/status',
  ];
  const reading = (async () => {
    for (let i = 0; !isOver; i++) {
      const path = paths[i % paths.length] ?? '';
      const response = await fetch(`${pipeline.queryApi.url}${path}`);
      const body = await response.text();
      if (response.status >= 500) failures.push(`${path}: ${response.status} ${body}`);
      answers++;
      await sleep(50);
    }
  })();
  reading.catch(() => undefined);
  return {
    /** Resolves when so many more reads were answered than until now. */
    more: (reads: number, until = answers + reads) => eventually('further answers', async () => answers >= until),
    async end() {
      isOver = true;
      await reading;
      return { answers, failures };
    },
  };
}

async function rawIn(node: ClickHouseNode): Promise<number> {
  const [row] = await node.clickhouse.query<{ n: number }>('SELECT count() AS n FROM click_raw FINAL');
  return row?.n ?? 0;
}

async function totalOf(node: ClickHouseNode): Promise<number> {
  const [row] = await node.clickhouse.query<{ n: number }>('SELECT sum(clicks) AS n FROM ad_minute FINAL');
  return row?.n ?? 0;
}

/** Of what was restated, how many clicks more there are. */
async function restatedIn(node: ClickHouseNode): Promise<number> {
  const [row] = await node.clickhouse.query<{ n: number }>(
    'SELECT sum(toInt64(after) - toInt64(before)) AS n FROM restatement FINAL',
  );
  return row?.n ?? 0;
}

async function holdsAll(node: ClickHouseNode): Promise<void> {
  await eventually(`all clicks in ${node.name}`, async () => (await totalOf(node).catch(() => 0)) === posted);
  await eventually(`all clicks in ${node.name}, raw`, async () => (await rawIn(node)) === posted);
}

const past = Math.floor((Date.now() - 600_000) / 60_000) * 60_000;
const pastUrl = () => `${pipeline.queryApi.url}/v1/ads/ad-1/aggregated_count?from=${past}&to=${past + 60_000}`;

/** The ETag of an answer that is final. */
async function tagOfPast(): Promise<string> {
  return await eventually('a final answer', async () => {
    const response = await fetch(pastUrl());
    const { state } = (await response.json()) as { state: string };
    return state === 'final' && (response.headers.get('etag') ?? undefined);
  });
}

/** The ads of a page, and the cursor of the next. */
async function pageAfter(cursor?: string): Promise<[ads: string[], next: string]> {
  const after = cursor === undefined ? '' : `&cursor=${cursor}`;
  const { ads, next_cursor } = await pipeline.get<{ ads: { ad_id: string }[]; next_cursor: string }>(
    `/v1/ads/popular_ads?count=3&from=${begin}&to=${begin + 2 * hourMs}${after}`,
  );
  return [ads.map(({ ad_id }) => ad_id), next_cursor];
}

/** Of those that may be read, as the query API sees it. */
async function statesOf(): Promise<Record<string, string>> {
  const { nodes } = await pipeline.get<{ nodes: { node: string; state: string }[] }>('/v1/status');
  return Object.fromEntries(nodes.map(({ node, state }) => [node, state]));
}

async function mayBothBeRead(): Promise<void> {
  await eventually('both nodes may be read', async () => {
    const states = Object.values(await statesOf().catch(() => ({})));
    return states.toSorted().join() === 'reading,ready';
  });
}

async function areEqualIn(table: string): Promise<void> {
  const rows = async () => await Promise.all(nodes.map(node => rowsIn(node, table)));
  await eventually(`equal rows in ${table}`, async () => new Set(await rows()).size === 1);
}

describe('two replicas', () => {
  it('hold the same rows', async () => {
    for (let i = 0; i < 5; i++) await post(100);
    for (const node of nodes) await holdsAll(node);
    for (const table of tables) await areEqualIn(table);
  });

  it('are read one at a time, and if that one is killed or hangs, the other, without an answer that fails', async () => {
    await mayBothBeRead();
    const tag = await tagOfPast();
    const [first, next] = await pageAfter();
    const reader = readOn();
    await sleep(500);
    await nodes[0].kill();
    // What was told by one goes on with the other.
    expect((await fetch(pastUrl(), { headers: { 'if-none-match': tag } })).status).toBe(304);
    const [second] = await pageAfter(next);
    expect(new Set([...first, ...second]).size).toBe(6);
    await post(100);
    await holdsAll(nodes[1]);
    await reader.more(4);
    await nodes[0].start();
    await holdsAll(nodes[0]);
    await mayBothBeRead();
    nodes[1].signal('SIGSTOP');
    await post(100);
    await holdsAll(nodes[0]);
    await eventually('seen as away', async () => {
      const states = await statesOf();
      return states[nodes[0].name] === 'reading' && states[nodes[1].name] === 'away';
    });
    await reader.more(4);
    nodes[1].signal('SIGCONT');
    expect((await reader.end()).failures).toEqual([]);
  });

  it('are what the job runner reads, one after the other: late clicks are restated once, and in both', async () => {
    const minute = past - 60_000;
    let late = 0;
    const postLate = async (clicks: number) => {
      const batch = Array.from({ length: clicks }, (_, i) => ({
        ...{ ad_id: 'late', event_id: `late-${late + i}`, clicked_at: minute + late + i },
      }));
      expect((await pipeline.post(batch)).status).toBe(202);
      late += clicks;
      posted += clicks;
    };
    for (const away of nodes) {
      await mayBothBeRead();
      await postLate(20);
      await away.kill();
      const other = nodes.find(node => node !== away) ?? away;
      await eventually('restated', async () => (await restatedIn(other)) === late);
      await away.start();
    }
    for (const node of nodes) {
      await holdsAll(node);
      await eventually('restated', async () => (await restatedIn(node)) === late);
    }
    for (const table of tables) await areEqualIn(table);
    const { count } = await pipeline.get<{ count: number }>(
      `/v1/ads/late/aggregated_count?from=${minute}&to=${minute + 60_000}`,
    );
    expect(count).toBe(late);
  });

  it('fills one that was emptied from the log, until it is equal row by row, while reads go on', async () => {
    await mayBothBeRead();
    const reader = readOn();
    await nodes[0].kill();
    nodes[0].removeDirectory();
    await post(200);
    await nodes[0].start();
    await post(200);
    for (const node of nodes) await holdsAll(node);
    for (const table of tables) await areEqualIn(table);
    await mayBothBeRead();
    const { failures } = await reader.end();
    expect(failures).toEqual([]);
  });

  it('does not read one that lacks what the log had lost when it was filled, until it has a copy of the other', async () => {
    await using admin = await openAdmin(createKafka(kafkaConfig(), 'test', createLog('test', 'error')));
    const ends = await Promise.all(
      ['clicks', 'aggregates'].map(async topic => [topic, await admin.endOffsets(topic)] as const),
    );
    // All who read have passed it by then.
    await sleep(5_000);
    for (const [topic, of] of ends) await admin.deleteBefore(topic, of);
    await nodes[0].kill();
    nodes[0].removeDirectory();
    await nodes[0].start();
    await eventually('one is incomplete', async () => {
      const states = await statesOf().catch(() => ({}) as Record<string, string>);
      return states[nodes[0].name] === 'incomplete' && states[nodes[1].name] === 'reading';
    });
    await post(100);
    await eventually('it gets rows all the same', async () => (await rawIn(nodes[0])) >= 100);
    expect(await totalOf(nodes[0])).toBeLessThan(posted);
    for (const node of nodes) await node.kill();
    nodes[0].copyDirectoryOf(nodes[1]);
    for (const node of nodes) await node.start();
    await mayBothBeRead();
    for (const node of nodes) await holdsAll(node);
    for (const table of tables) await areEqualIn(table);
  });

  it('are compared by the job runner, and every query API tells', async () => {
    const body = JSON.stringify({ countries: { in: ['KR'] } });
    const headers = { 'content-type': 'application/json' };
    const put = await fetch(`${pipeline.queryApi.url}/v1/filters/one`, { method: 'PUT', headers, body });
    expect(put.status).toBe(200);
    const compared = async () => {
      const { replicas } = await pipeline.get<{ replicas: { checked_at: string | null; differences: number } }>(
        '/v1/status',
      );
      return replicas;
    };
    await areEqualIn('stored_filter');
    await eventually('compared', async () => {
      const { checked_at, differences } = await compared();
      return checked_at !== null && differences === 0;
    });
    const alter = (definition: string) =>
      nodes[1].clickhouse.command(
        `ALTER TABLE stored_filter UPDATE definition = '${definition}' WHERE id = 'one' SETTINGS mutations_sync=1`,
      );
    const [{ definition } = { definition: '' }] = await nodes[1].clickhouse.query<{ definition: string }>(
      "SELECT definition FROM stored_filter WHERE id = 'one'",
    );
    await alter('{}');
    await eventually('the difference is told', async () => (await compared()).differences === 1);
    await alter(definition);
    await eventually('they agree again', async () => (await compared()).differences === 0);
  });

  it('are compared by hand', async () => {
    const compare = () =>
      promisify(execFile)(process.execPath, ['query-api/jobs/replicas/main.ts'], {
        env: {
          ...{ PATH: process.env['PATH'], KAFKA_BROKERS: pipeline.broker.brokers, ...nodeAccess },
          CLICKHOUSE_URL: nodes.map(({ url }) => url).join(','),
        },
      });
    expect((await compare()).stdout).toMatch(/\d{3,} rows in \d+ hours of partitions compared, all equal/);
    await nodes[1].clickhouse.command(
      "ALTER TABLE click_raw UPDATE user_id = 'x' WHERE event_id = 'e-7' SETTINGS mutations_sync=1",
    );
    const failure: { code?: number; stdout?: string } = await compare().catch(error => error);
    expect(failure.code).toBe(1);
    expect(failure.stdout).toMatch(/^DIFFERENT click_raw \d{4}-/);
  });
});
