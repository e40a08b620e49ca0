/** Somebody else's transaction stays open in a topic of the pipeline: what does not depend on it goes on, and the rest is told. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { createKafka, type KafkaClient } from '../../infra/kafka/client.ts';
import { createLog } from '../../infra/log.ts';
import { partitionOf } from '../../ingest/click.ts';
import { openRaw } from '../simulation/raw-transactions.ts';
import { partitions, startTestPipeline, type TestPipeline } from '../support/pipeline.ts';
import { scrape } from '../support/scrape.ts';
import { eventually } from '../support/wait.ts';

/** Nobody ends it meanwhile. */
const longMs = 600_000;
const ad = 'ad-1';
const partition = partitionOf(ad, partitions);
let pipeline: TestPipeline;
let kafka: KafkaClient;
let posted = 0;

beforeAll(async () => {
  pipeline = await startTestPipeline({}, { brokerSettings: { 'transaction.max.timeout.ms': longMs } });
  kafka = createKafka(loadConfig(KafkaConfig, pipeline.env), 'somebody', createLog('test', 'error'));
});
afterAll(() => pipeline?.[Symbol.asyncDispose]());

interface Status {
  readonly partitions: readonly { readonly partition: number; readonly counted: number }[];
}
const countedNow = async () => {
  const { partitions } = await pipeline.get<Status>('/v1/status');
  return partitions.reduce((sum, { counted }) => sum + counted, 0);
};

async function post(): Promise<void> {
  const clicks = Array.from({ length: 100 }, () => ({ ad_id: ad, event_id: `e${++posted}`, clicked_at: Date.now() }));
  await eventually('accepted', async () => (await pipeline.post(clicks)).status === 202);
}

const counted = () => eventually(`${posted} counted`, async () => (await countedNow()) === posted);

it('in clicks: all is counted, also by an aggregator that takes the partition over, which does not halt', async () => {
  await post();
  await counted();
  await using raw = await openRaw(kafka, 'somebody', longMs);
  const transaction = await raw.transaction();
  await transaction.send('clicks', '', partition);
  await post();
  await counted();
  // Its committed offset is beyond the last stable offset.
  await pipeline.aggregator.stop();
  await post();
  const aggregator = await pipeline.restart('aggregator');
  await aggregator.ready();
  await counted();
  expect(aggregator.logs()).not.toContain('task halted');
  await transaction.abort();
  await post();
  await counted();
});

it('in aggregates: it is told how long nothing can be read behind it, and what waits comes when it ends', async () => {
  await using raw = await openRaw(kafka, 'somebody', longMs);
  const transaction = await raw.transaction();
  await transaction.send('aggregates', 'never', partition);
  const before = await countedNow();
  await post();
  const openFor = async (of: number) => {
    const series = (await scrape(pipeline.queryApi.url)).filter(
      ({ name }) => name === 'adclicks_open_transaction_seconds',
    );
    return series.find(({ labels }) => labels['topic'] === 'aggregates' && labels['partition'] === `${of}`)?.value;
  };
  await eventually('told', async () => ((await openFor(partition)) ?? 0) > 2);
  expect([await countedNow(), await openFor((partition + 1) % partitions)]).toEqual([before, 0]);
  await transaction.abort();
  await counted();
  await eventually('over', async () => (await openFor(partition)) === 0);
});
