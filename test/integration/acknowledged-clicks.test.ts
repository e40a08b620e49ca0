/**
 * A click that was acknowledged and never written shows, through the whole pipeline: on a real broker, with a producer
 * that is told to lose what it acknowledges. The same of a topic that Kafka's own client has read, by another program.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import type { OutgoingRecord } from '../../infra/kafka/outgoing-record.ts';
import { createProducer, type Producer } from '../../infra/kafka/producer.ts';
import { createLog } from '../../infra/log.ts';
import { ackHeader, createAckChain } from '../../ingest/ack-chain.ts';
import { ackChains } from '../support/ack-chains.ts';
import { writerId } from '../support/ack-log.ts';
import { adclicks } from '../support/adclicks.ts';
import { click, ndjson } from '../support/clicks.ts';
import { partitions, startTestPipeline, type TestPipeline } from '../support/pipeline.ts';
import { readCommitted } from '../support/read-committed.ts';
import { scrape } from '../support/scrape.ts';
import { eventually } from '../support/wait.ts';

let pipeline: TestPipeline;
let real: Producer;
beforeAll(async () => {
  pipeline = await startTestPipeline();
  const config = loadConfig(KafkaConfig, { KAFKA_BROKERS: pipeline.broker.brokers });
  real = createProducer(createKafka(config, 'test-writer', createLog('test', 'error')), {
    acks: -1,
    timeoutMs: 10_000,
  });
});
afterAll(async () => {
  await real?.[Symbol.asyncDispose]();
  await pipeline?.[Symbol.asyncDispose]();
});

interface Status {
  readonly partitions: readonly { readonly partition: number; readonly missing: number }[];
  readonly conservation: {
    readonly received: number;
    readonly acknowledged: number;
    readonly unacknowledged: number;
    readonly missing: number;
    readonly balanced: boolean;
  };
}

const all = Array.from({ length: partitions }, (_, partition) => partition);

/** As ingest writes: batch by batch, each record with its header, a statement for what was not told yet. */
function createWriter(producer: Pick<Producer, 'send'>) {
  const chain = createAckChain(writerId(Date.now(), 1));
  const append = async (counts: ReadonlyMap<number, number>) => {
    const begun = [...counts].map(([partition, count]) => ({ partition, count, ...chain.begin(partition, count) }));
    const records = begun.map(({ partition, count, header }): OutgoingRecord => {
      const clicks = Array.from({ length: count }, () => click({ clickedAt: Date.now() }));
      return { partition, value: Buffer.from(ndjson(...clicks)), headers: { [ackHeader]: header } };
    });
    await producer.send('clicks', records);
    for (const { partition, batch } of begun) chain.acknowledged(partition, batch);
  };
  return {
    append: (count: number) => append(new Map(all.map(partition => [partition, count]))),
    state: () => append(new Map(chain.owed().map(partition => [partition, 0]))),
  };
}

/** Resolves, but what it was to write to these partitions is not written. */
const lost = new Set<number>();
const lossy: Pick<Producer, 'send'> = {
  send: (topic, records) =>
    real.send(
      topic,
      records.filter(({ partition }) => !lost.has(partition)),
    ),
};

const status = () => pipeline.get<Status>('/v1/status');
const told = (acknowledged: number) =>
  eventually(`${acknowledged} lines are told to be acknowledged`, async () => {
    const answer = await status();
    return answer.conservation.acknowledged === acknowledged && answer;
  });

it('is balanced while nothing is lost, and rings as soon as one acknowledged batch is not in the log', async () => {
  const writer = createWriter(lossy);
  for (let batch = 0; batch < 3; batch++) await writer.append(10);
  await writer.state();
  const before = await told(3 * 10 * partitions);
  expect(before.conservation).toMatchObject({ received: 120, unacknowledged: 0, missing: 0, balanced: true });

  lost.add(2);
  await writer.append(5);
  lost.clear();
  await writer.state();
  const after = await told(140);
  expect(after.conservation).toMatchObject({ received: 135, unacknowledged: 0, missing: 5, balanced: false });
  expect(after.partitions.map(({ missing }) => missing)).toEqual([0, 0, 5, 0]);
  const command = await adclicks({ ADCLICKS_QUERY_API_URL: pipeline.queryApi.url }, 'status');
  expect(command).toMatchObject({ code: 3, stdout: expect.stringContaining('5 MISSING') });
  await eventually('the alarm', async () => {
    const gauges = (await scrape(pipeline.queryApi.url)).filter(({ name }) => name === 'adclicks_missing_clicks');
    return gauges.some(({ labels, value }) => labels['partition'] === '2' && value === 5);
  });

  // What was told is not forgotten, and not told twice.
  await pipeline.aggregator.kill();
  await pipeline.restart('aggregator');
  await writer.append(1);
  await writer.state();
  expect((await told(144)).conservation).toMatchObject({ received: 139, missing: 5 });
});

it('is found by another program, in what another client reads of the topic', async () => {
  const lines = await readCommitted(pipeline.broker.brokers, 'clicks', ackHeader);
  const { acknowledged, missing, violations } = ackChains(lines);
  expect({ acknowledged, missing }).toEqual({ acknowledged: 144, missing: 5 });
  expect(violations).toEqual([expect.stringMatching(/clicks\[2\]: batch 5 was acknowledged and is not there$/)]);
});
