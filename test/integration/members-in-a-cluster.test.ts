/**
 * Two faults of kafkajs that need more than one broker, tried live (decision 014). A member that hangs is kept in its
 * group by the fetches of the brokers that have nothing for it (kafkajs#1616), and a member that is busy while its
 * group rebalances is thrown out and comes back, over and over (kafkajs#1720).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { type Admin, ensureTopics, openAdmin } from '../../infra/kafka/admin.ts';
import { createKafka, type KafkaClient } from '../../infra/kafka/client.ts';
import { type FetchedBatch, openGroupConsumer } from '../../infra/kafka/group-consumer.ts';
import { createProducer } from '../../infra/kafka/producer.ts';
import { watchStalls } from '../../infra/kafka/stall-watch.ts';
import { createLog } from '../../infra/log.ts';
import { names as namesOf } from '../../infra/topics.ts';
import { type KafkaCluster, startKafkaCluster } from '../support/kafka-cluster.ts';
import { eventually } from '../support/wait.ts';

const log = createLog('members', 'silent');
const partitions = 3;
const sessionTimeoutMs = 6_000;

let cluster: KafkaCluster;
let kafka: KafkaClient;
let admin: Admin;

beforeAll(async () => {
  cluster = await startKafkaCluster();
  kafka = createKafka(loadConfig(KafkaConfig, { KAFKA_BROKERS: cluster.direct }), 'members', log);
  admin = await openAdmin(kafka);
});

afterAll(async () => {
  await admin?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

/** A topic of three partitions, each led by another broker, with one record in the first. */
async function topicOf(prefix: string): Promise<string> {
  const names = namesOf(prefix);
  await ensureTopics(kafka, names, partitions);
  const topic = names.topic('clicks');
  await cluster.inSync([topic]);
  await cluster.control.electPreferred([topic]);
  const leaders = (await cluster.control.describe([topic])).map(({ leader }) => leader);
  expect(new Set(leaders).size).toBe(partitions);
  await append(topic);
  return topic;
}

async function append(topic: string): Promise<void> {
  await using producer = createProducer(kafka, { acks: -1, timeoutMs: 10_000 });
  await producer.send(topic, [{ partition: 0, value: 'a line' }]);
}

async function join(topic: string, onBatch: (batch: FetchedBatch) => Promise<void>) {
  const given: number[][] = [];
  const consumer = await openGroupConsumer(kafka, {
    group: `${topic}-group`,
    topics: [topic],
    isolation: 'read_committed',
    sessionTimeoutMs,
    maxWaitMs: 100,
    minBytes: 1,
    maxBytes: 1 << 20,
    maxBytesPerPartition: 1 << 20,
    concurrency: 8,
    keepsRecords: true,
    log,
    onOpen: () => undefined,
    onAssigned: assigned => given.push([...(assigned.get(topic) ?? [])].sort()),
    onBatch,
    onGap: () => undefined,
    onCrash: () => undefined,
  });
  return { consumer, given };
}

it('ends a member that hangs, though the other brokers’ fetches keep it in the group', async () => {
  const topic = await topicOf('hanging-');
  const hang = Promise.withResolvers<void>();
  const { consumer, given } = await join(topic, async () => {
    await hang.promise;
  });
  const stalled = Promise.withResolvers<string>();
  using _ = watchStalls({
    group: `${topic}-group`,
    log,
    async readings() {
      const ends = await admin.endOffsets(topic);
      return new Map([...ends].map(([partition, end]) => [`[${partition}]`, { position: 0, end }]));
    },
    onStall: stalled.resolve,
  });
  // Longer than its session and the time to rebalance in: by that it is expelled or it never is.
  await sleep(3 * sessionTimeoutMs);
  expect(given).toEqual([[0, 1, 2]]);
  expect(await stalled.promise).toMatch(/^\[0\] has not moved from 0/);
  // Its process ends.
  hang.resolve();
  await consumer[Symbol.asyncDispose]();

  const read = Promise.withResolvers<number>();
  const other = await join(topic, async batch => read.resolve(batch.partition));
  expect(await read.promise).toBe(0);
  await other.consumer[Symbol.asyncDispose]();
});

it.each([
  ['gives its work up when it hears of it', true],
  ['hears of nothing until it has finished', false],
])('settles a group that rebalances while a member is busy, who %s', async (_name, listens) => {
  const topic = await topicOf(listens ? 'listening-' : 'deaf-');
  let wasBusy = false;
  const busy = async (batch: FetchedBatch) => {
    if (wasBusy) return;
    wasBusy = true;
    // Longer than the time a group waits for a member that it wants to rebalance.
    for (let second = 0; second < 15; second++) {
      await sleep(1_000);
      if (listens) await batch.heartbeat();
    }
  };
  const first = await join(topic, busy);
  await eventually('the first is busy', () => wasBusy);
  const second = await join(topic, async () => undefined);
  const shared = () => {
    const [a, b] = [first.given.at(-1) ?? [], second.given.at(-1) ?? []];
    return a.length > 0 && b.length > 0 && [...a, ...b].sort().join() === '0,1,2';
  };
  await eventually('each partition has one owner', shared);
  // A loop would go on: what has settled stays so for longer than a session.
  const joins = [first.given.length, second.given.length];
  await sleep(1.5 * sessionTimeoutMs);
  expect([first.given.length, second.given.length]).toEqual(joins);
  expect(shared()).toBe(true);
  expect(Math.max(...joins)).toBeLessThanOrEqual(listens ? 2 : 4);

  await append(topic);
  await first.consumer[Symbol.asyncDispose]();
  await second.consumer[Symbol.asyncDispose]();
});
