/** Two ClickHouse nodes that are two shards: each gets its partitions of the log, and nobody tells half as all. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { exitCodes } from '../../infra/exit-codes.ts';
import { ensureTopics } from '../../infra/kafka/admin.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { createLog } from '../../infra/log.ts';
import { names } from '../../infra/topics.ts';
import { startTestBroker } from '../support/broker.ts';
import { type ClickHouseNode, nodeAccess, startClickHouseNode } from '../support/clickhouse-node.ts';
import { type Service, startService } from '../support/service.ts';
import { eventually } from '../support/wait.ts';

const stack = new AsyncDisposableStack();
let nodes: readonly [ClickHouseNode, ClickHouseNode];
let ingest: Service;
let env: Record<string, string>;

beforeAll(async () => {
  const broker = stack.use(await startTestBroker());
  nodes = [stack.use(await startClickHouseNode()), stack.use(await startClickHouseNode())];
  env = {
    ...{ KAFKA_BROKERS: broker.brokers, TICK_INTERVAL_MS: '1000', SINK_RAW_INTERVAL_MS: '200' },
    ...nodeAccess,
    CLICKHOUSE_URL: nodes.map(({ url }) => url).join(';'),
  };
  const kafka = createKafka(loadConfig(KafkaConfig, env), 'test', createLog('test', 'error'));
  await ensureTopics(kafka, names(''), 4);
  const sink = stack.use(await startService('aggregator/sink-main.ts', 'SINK_PORT', env));
  const aggregator = stack.use(await startService('aggregator/main.ts', 'AGGREGATOR_PORT', env));
  ingest = stack.use(await startService('ingest/main.ts', 'INGEST_PORT', env));
  for (const service of [sink, aggregator, ingest]) await service.ready(60_000);
});
afterAll(() => stack.disposeAsync());

async function countsIn({
  clickhouse,
}: ClickHouseNode): Promise<{ partitions: number[]; clicks: number; raw: number }> {
  const [counts] = await clickhouse.query<{ partitions: number[]; clicks: number }>(
    'SELECT arraySort(groupUniqArray(partition)) AS partitions, sum(clicks) AS clicks FROM ad_minute FINAL',
  );
  const [raw] = await clickhouse.query<{ n: number }>('SELECT count() AS n FROM click_raw FINAL');
  return { partitions: counts?.partitions ?? [], clicks: counts?.clicks ?? 0, raw: raw?.n ?? 0 };
}

it('hold each click in one shard, that of its partition', async () => {
  const clicks = Array.from({ length: 300 }, (_, i) => ({
    ad_id: `ad-${i % 40}`,
    clicked_at: Date.now(),
    event_id: `e-${i}`,
  }));
  const headers = { 'content-type': 'application/json' };
  const { status } = await fetch(`${ingest.url}/v1/clicks`, { method: 'POST', headers, body: JSON.stringify(clicks) });
  expect(status).toBe(202);
  const held = await eventually('all clicks in one shard or the other', async () => {
    const found = [await countsIn(nodes[0]), await countsIn(nodes[1])] as const;
    const sums = (['clicks', 'raw'] as const).map(field => found[0][field] + found[1][field]);
    return sums.every(sum => sum === clicks.length) && found;
  });
  expect(held.map(({ partitions }) => partitions)).toEqual([
    [0, 2],
    [1, 3],
  ]);
  expect(held[0].clicks).toBe(held[0].raw);
  const progress = await nodes[1].clickhouse.query(
    'SELECT DISTINCT partition FROM partition_progress ORDER BY partition',
  );
  expect(progress).toEqual([{ partition: 1 }, { partition: 3 }]);
});

it.each([
  ['query API', 'query-api/main.ts', 'QUERY_API_PORT'],
  ['job runner', 'query-api/jobs/main.ts', 'JOBS_PORT'],
] as const)('are refused by a %s, in one line', async (_, main, port) => {
  await using service = await startService(main, port, env);
  await expect(service.ready(60_000)).rejects.toThrow(/CLICKHOUSE_URL has 2 shards: sinks can fill them, but/);
  expect(await service.stop()).toBe(exitCodes.config);
});
