/** Two shards of two ClickHouse nodes each, filled from one log: each node gets its partitions, and all are read as one store. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ClickHouseNode, nodeAccess, startClickHouseNode } from '../support/clickhouse-node.ts';
import { startTestPipeline, type TestPipeline } from '../support/pipeline.ts';
import { eventually } from '../support/wait.ts';

/** By shard. */
let shards: readonly (readonly [ClickHouseNode, ClickHouseNode])[];
let pipeline: TestPipeline;

beforeAll(async () => {
  const pair = async () => [await startClickHouseNode(), await startClickHouseNode()] as const;
  shards = [await pair(), await pair()];
  pipeline = await startTestPipeline({
    ...nodeAccess,
    CLICKHOUSE_URL: shards.map(nodes => nodes.map(({ urlInShards }) => urlInShards).join(',')).join(';'),
    REPLICA_CHECK_INTERVAL_MS: '10000',
    OUT_OF_ORDERNESS_MS: '1000',
    ALLOWED_LATENESS_MS: '1000',
  });
});
afterAll(async () => {
  await pipeline?.[Symbol.asyncDispose]();
  for (const node of shards?.flat() ?? []) await node[Symbol.asyncDispose]();
});

/** With clicks: two minutes that are over. */
const past = Math.floor((Date.now() - 600_000) / 60_000) * 60_000;
const range = `from=${past}&to=${past + 120_000}`;
const ads = Array.from({ length: 40 }, (_, i) => `ad-${i}`);
let posted = 0;

/** As many of each ad, in the first minute and the second. */
async function post(ofEach: number): Promise<void> {
  const clicks = ads.flatMap(ad_id =>
    Array.from({ length: ofEach }, (_, i) => ({
      ...{ ad_id, event_id: `${ad_id}-${posted}-${i}`, clicked_at: past + (i % 2) * 60_000 + 1_000 },
    })),
  );
  posted += clicks.length;
  const { status } = await pipeline.post(clicks);
  expect(status).toBe(202);
}

interface Totals {
  readonly state: string;
  readonly total: number;
  readonly pending: number;
}

/** Of all ads; throws where it is not answered. */
async function totals(): Promise<Totals> {
  const { series, state, pending_late } = await pipeline.get<{
    series: { count: number }[];
    state: string;
    pending_late: number;
  }>(`/v1/ads/series?${range}&granularity=minute`);
  return { state, pending: pending_late, total: series[0]?.count ?? 0 };
}

async function partitionsIn({ clickhouse }: ClickHouseNode): Promise<number[]> {
  const [row] = await clickhouse.query<{ partitions: number[] }>(
    'SELECT arraySort(groupUniqArray(partition)) AS partitions FROM ad_minute FINAL',
  );
  return row?.partitions ?? [];
}

async function statesOf(): Promise<Record<string, string>> {
  const { nodes } = await pipeline.get<{ nodes: { node: string; state: string }[] }>('/v1/status');
  return Object.fromEntries(nodes.map(({ node, state }) => [node, state]));
}

async function mayAllBeRead(): Promise<void> {
  await eventually('all nodes may be read', async () => {
    const states = Object.values(await statesOf().catch(() => ({})));
    return states.toSorted().join() === 'reading,reading,ready,ready';
  });
}

/** Reads on and on, as clients do: what was not answered well, and which totals were told. */
function readOn() {
  const failures: string[] = [];
  const told = new Set<number>();
  let isOver = false;
  const reading = (async () => {
    while (!isOver) {
      await totals().then(
        ({ total }) => told.add(total),
        error => failures.push(String(error)),
      );
      await sleep(10);
    }
  })();
  return {
    async end() {
      isOver = true;
      await reading;
      return { failures, told: [...told].sort((a, b) => a - b) };
    },
  };
}

describe('two shards of two nodes', () => {
  it('hold each click in one shard, that of its partition, and answer with all', async () => {
    await post(4);
    await eventually('all clicks', async () => (await totals().catch(() => undefined))?.total === posted);
    for (const [shard, nodes] of shards.entries()) {
      for (const node of nodes)
        await eventually('its partitions', async () => (await partitionsIn(node)).join() === `${shard},${shard + 2}`);
    }
    const { ads: top } = await pipeline.get<{ ads: { count: number }[] }>(`/v1/ads/popular_ads?${range}&count=100`);
    expect(top.map(({ count }) => count)).toEqual(ads.map(() => 4));
    const { partitions } = await pipeline.get<{ partitions: { partition: number; received: number }[] }>('/v1/status');
    expect(partitions.map(({ partition }) => partition)).toEqual([0, 1, 2, 3]);
    expect(partitions.reduce((sum, { received }) => sum + received, 0)).toBe(posted);
  });

  it('show every node with its shard, how far it is, and that replicas are equal', async () => {
    await mayAllBeRead();
    const { nodes } = await pipeline.get<{ nodes: { node: string; shard: number; topics: { position: number }[] }[] }>(
      '/v1/status',
    );
    expect(nodes.map(({ node, shard }) => [node, shard])).toEqual(
      shards.flatMap((of, shard) => of.map(({ name }) => [name, shard])),
    );
    for (const { topics } of nodes) expect(topics.length).toBeGreaterThan(5);
    await eventually('compared', async () => {
      const { replicas } = await pipeline.get<{ replicas: { checked_at: string | null; differences: number } }>(
        '/v1/status',
      );
      return replicas.checked_at !== null && replicas.differences === 0;
    });
  });

  it('restate late clicks of both at once, whoever reads meanwhile', async () => {
    // It is a matter of moments whether the first were too late as well.
    await eventually('final', async () => {
      const { state, pending } = await totals();
      return state !== 'provisional' && pending === 0;
    });
    const before = posted;
    const reader = readOn();
    await post(6);
    await eventually('late', async () => (await totals().catch(() => undefined))?.pending === posted - before);
    await eventually('restated', async () => {
      const { total, state, pending } = await totals().catch(() => ({ total: 0, state: '', pending: 1 }));
      return total === posted && state === 'restated' && pending === 0;
    });
    const { failures, told } = await reader.end();
    expect(failures).toEqual([]);
    expect(told).toEqual([before, posted]);
  });

  it('go on with the other node of a shard when one is killed: no answer fails, ETags and pages hold', async () => {
    await mayAllBeRead();
    const url = `${pipeline.queryApi.url}/v1/ads/ad-1/aggregated_count?${range}`;
    const tag = (await fetch(url)).headers.get('etag') ?? '';
    const pageOf = async (cursor = '') =>
      await pipeline.get<{ ads: { ad_id: string }[]; next_cursor: string }>(
        `/v1/ads/popular_ads?${range}&count=20${cursor && `&cursor=${cursor}`}`,
      );
    const first = await pageOf();
    for (const nodes of shards) {
      const reader = readOn();
      await sleep(300);
      const read = await statesOf();
      const away = nodes.find(({ name }) => read[name] === 'reading') ?? nodes[0];
      await away.kill();
      expect((await fetch(url, { headers: { 'if-none-match': tag } })).status).toBe(304);
      const second = await pageOf(first.next_cursor);
      expect(new Set([...first.ads, ...second.ads].map(({ ad_id }) => ad_id)).size).toBe(40);
      await sleep(2_000);
      await away.start();
      await mayAllBeRead();
      expect(await reader.end()).toEqual({ failures: [], told: [posted] });
    }
  });

  it('answer 503 with the shard and Retry-After while all of a shard is away, and nothing by half', async () => {
    await mayAllBeRead();
    const nodes = shards[1] ?? [];
    for (const node of nodes) await node.kill();
    const paths = [`/v1/ads/ad-1/aggregated_count?${range}`, `/v1/ads/popular_ads?${range}`, '/v1/status'];
    for (const path of paths) {
      const answer = await fetch(`${pipeline.queryApi.url}${path}`);
      expect([answer.status, Number(answer.headers.get('retry-after')) > 0], path).toEqual([503, true]);
      expect(await answer.json()).toMatchObject({
        code: 'shard_unavailable',
        detail: expect.stringMatching(/^shard 1 /),
      });
    }
    for (const node of nodes) await node.start();
    await mayAllBeRead();
    expect((await totals()).total).toBe(posted);
  });
});
