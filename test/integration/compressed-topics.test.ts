/**
 * Somebody has the brokers compress topics (`compression.type`, which is the default of a whole cluster in many places),
 * in each codec that Kafka has: everything is read as before. What the brokers write is written by Kafka's own code.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type AdMinuteRow, adMinuteRowOf } from '../../aggregator/ad-minute.ts';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { ensureTopics, openAdmin } from '../../infra/kafka/admin.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { openGroupConsumer } from '../../infra/kafka/group-consumer.ts';
import { createProducer } from '../../infra/kafka/producer.ts';
import { createLog } from '../../infra/log.ts';
import { names as namesOf } from '../../infra/topics.ts';
import { alterTopic } from '../support/altered-topic.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { clickStream, recordsOf } from '../support/click-stream.ts';
import { readCommitted } from '../support/read-committed.ts';
import { startService } from '../support/service.ts';
import { eventually } from '../support/wait.ts';

const partitions = 4;
let broker: TestBroker;

beforeAll(async () => {
  broker = await startTestBroker();
});
afterAll(() => broker?.[Symbol.asyncDispose]());

it.each(['gzip', 'snappy', 'lz4', 'zstd'])('counts what the brokers have compressed with %s', async codec => {
  const names = namesOf(`${codec}-`);
  const log = createLog('test', 'error');
  const kafka = createKafka(loadConfig(KafkaConfig, { KAFKA_BROKERS: broker.brokers }), 'test', log);
  await ensureTopics(kafka, names, partitions);
  for (const topic of ['clicks', 'hot-ads', 'aggregates'] as const)
    await alterTopic(kafka, names, topic, { 'compression.type': codec });
  await using aggregator = await startService('aggregator/main.ts', 'AGGREGATOR_PORT', {
    KAFKA_BROKERS: broker.brokers,
    TOPIC_PREFIX: `${codec}-`,
    COMMIT_INTERVAL_MS: '100',
  });
  await aggregator.ready();
  await using producer = createProducer(kafka, { acks: -1, timeoutMs: 20_000 });
  const clicks = clickStream({ seed: 5 }).take(20_000);
  await producer.send(names.topic('clicks'), recordsOf(clicks, partitions));
  await using admin = await openAdmin(kafka);
  await eventually('all clicks counted', async () => {
    const ends = await admin.endOffsets(names.topic('clicks'));
    const commits = await admin.commits(names.aggregatorGroup, names.topic('clicks'));
    return [...ends].every(([partition, end]) => end === 0 || (commits.get(partition)?.offset ?? 0) >= end);
  });
  const told = await readCommitted(broker.brokers, names.topic('aggregates'));
  const rows = told.filter(({ kind }) => kind === 'ad-minute').map(({ line }) => adMinuteRowOf(JSON.parse(line)));
  const newest = new Map<string, AdMinuteRow>();
  for (const row of rows) {
    const cell = [row.minute, row.ad_id, row.country, row.partition].join();
    if ((newest.get(cell)?.version ?? -1) < row.version) newest.set(cell, row);
  }
  const sum = (of: 'clicks' | 'duplicates' | 'late') => [...newest.values()].reduce((all, row) => all + row[of], 0);
  const distinct = new Set(clicks.map(click => `${click.adId} ${click.eventId}`));
  expect([sum('clicks'), sum('clicks') + sum('duplicates')]).toEqual([distinct.size, clicks.length]);
  // What a sink reads of them, by our reader, is what Kafka's own client reads.
  const read: string[] = [];
  await using _ = await openGroupConsumer(kafka, {
    ...{ group: `${codec}-reader`, topics: [names.topic('aggregates')], isolation: 'read_committed', log },
    ...{ sessionTimeoutMs: 6_000, maxWaitMs: 100, minBytes: 1, maxBytes: 8 << 20, maxBytesPerPartition: 8 << 20 },
    ...{ concurrency: 4, keepsRecords: false },
    onOpen() {},
    onAssigned() {},
    async onBatch({ records }) {
      for (const { value } of records) read.push(...String(value).split('\n').filter(Boolean));
    },
    onGap() {},
    onCrash(error) {
      throw error;
    },
  });
  await eventually('read as often', () => read.length >= told.length);
  expect(read.sort()).toEqual(told.map(({ line }) => line).sort());
});
