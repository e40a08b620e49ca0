/** The broker's own compaction of topic `hot-ads`, hurried up: what holds afterwards is what held before. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { ensureTopics } from '../../infra/kafka/admin.ts';
import { createKafka, type KafkaClient } from '../../infra/kafka/client.ts';
import { openGroupConsumer } from '../../infra/kafka/group-consumer.ts';
import { createProducer } from '../../infra/kafka/producer.ts';
import type { ReadRecords } from '../../infra/kafka/read-parts.ts';
import type { LogRecord } from '../../infra/kafka/record-batch.ts';
import { createLog } from '../../infra/log.ts';
import { names as namesOf } from '../../infra/topics.ts';
import { HotAdConfig, type HotAdRule, hotAdTermsOf, ruleRecord, tickRecord } from '../../ingest/hot-ads/rule.ts';
import { RuleBook } from '../../ingest/hot-ads/rule-book.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { eventually } from '../support/wait.ts';

const names = namesOf('');
const topic = names.topic('hot-ads');
const terms = hotAdTermsOf(loadConfig(HotAdConfig, {}));
const log = createLog('test', 'error');
const minuteMs = 60_000;

let broker: TestBroker;
let kafka: KafkaClient;

beforeAll(async () => {
  broker = await startTestBroker({ 'log.cleaner.backoff.ms': 200 });
  kafka = createKafka(loadConfig(KafkaConfig, { KAFKA_BROKERS: broker.brokers }), 'test', log);
  await ensureTopics(kafka, names, 4);
  const admin = kafka.admin();
  await admin.connect();
  const configEntries = [
    { name: 'cleanup.policy', value: 'compact' },
    { name: 'message.timestamp.type', value: 'LogAppendTime' },
    { name: 'segment.ms', value: '500' },
    { name: 'min.cleanable.dirty.ratio', value: '0.01' },
  ];
  await admin.alterConfigs({ validateOnly: false, resources: [{ type: 2, name: topic, configEntries }] });
  await admin.disconnect();
});
afterAll(() => broker?.[Symbol.asyncDispose]());

/** All that a new reader gets, up to `end`. */
async function readAll(end: number): Promise<ReadRecords[]> {
  const batches: ReadRecords[] = [];
  const done = Promise.withResolvers<void>();
  await using _ = await openGroupConsumer(kafka, {
    group: names.hotAdsGroup(`test-${performance.now()}`),
    topics: [topic],
    isolation: 'read_uncommitted',
    sessionTimeoutMs: 10_000,
    maxWaitMs: 200,
    minBytes: 1,
    maxBytes: 1 << 20,
    maxBytesPerPartition: 1 << 20,
    concurrency: 1,
    keepsRecords: true,
    log,
    onOpen: () => {},
    onAssigned: () => {},
    async onBatch({ fetchedOffset, nextOffset, records }) {
      batches.push({ fetchedOffset, nextOffset, records: [...records] });
      if (nextOffset >= end) done.resolve();
    },
    onGap: () => {},
    onCrash: done.reject,
  });
  await done.promise;
  return batches;
}

const ruleTimes = (batches: readonly ReadRecords[]) =>
  batches
    .flatMap(({ records }): LogRecord[] => [...records])
    .filter(({ headers }) => String(headers?.['kind']) === 'rule')
    .map(({ offset, timestamp }) => ({ offset, timestamp }));

it('loses ticks and no rule, and leaves rules the time of their append, by which they hold', async () => {
  await using producer = createProducer(kafka, { acks: -1, timeoutMs: 10_000 });
  const from = Math.ceil((Date.now() + terms.noticeMs + 2 * minuteMs) / minuteMs) * minuteMs;
  const rules = ['1', '2', '3'].map((id): HotAdRule => {
    // Of one ad, two of them for the same minutes.
    return { ruleId: id.padStart(26, '0'), adId: 'ad-hot', from, until: from + (id === '3' ? 90 : 60) * minuteMs };
  });
  let end = 0;
  const append = async (record: ReturnType<typeof tickRecord>) => {
    await producer.send(topic, [record]);
    end++;
  };
  for (const rule of rules) {
    await append(tickRecord(terms));
    await append(ruleRecord(rule, terms));
  }
  const before = ruleTimes(await readAll(end));
  expect(before).toHaveLength(rules.length);
  const compacted = await eventually('ticks are gone', async () => {
    await append(tickRecord(terms));
    const batches = await readAll(end);
    const records = batches.reduce((sum, batch) => sum + [...batch.records].length, 0);
    return records <= end - 4 && batches;
  });
  expect(ruleTimes(compacted)).toEqual(before);
  const book = new RuleBook(terms);
  for (const batch of compacted) book.read(batch);
  expect(book.rules).toEqual(rules);
  expect(book.position).toBe(end);
  expect(book.isSplit('ad-hot', from + 80 * minuteMs)).toBe(true);
});
