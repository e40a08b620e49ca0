/** What the processes ask the brokers besides reading and writing: topics, committed offsets, the ends of partitions. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Admin as KafkaAdmin } from 'kafkajs';
import { ConfigError, messageOf, Retryable } from '../errors.ts';
import { fixedPartitions, type Names, type TopicName, topicNames, topicSettings } from '../topics.ts';
import type { KafkaClient } from './client.ts';
import { isRetriable, translate } from './errors.ts';

/** A committed position: the offset of the next record to process, and what was stored beside it. */
export interface Committed {
  readonly offset: number;
  readonly metadata: string;
}

export interface Admin extends AsyncDisposable {
  /**
   * First offset still in the log and the last stable offset, per partition: what a read_committed reader can reach.
   * That `end` is not the high watermark: kafkajs gives an admin's ListOffsets no isolation level, which its request
   * takes for READ_COMMITTED, and the broker then answers with the last stable offset. The contract that the real
   * broker keeps ("holds back everything behind an open transaction") would notice another kafkajs.
   */
  ranges(topic: string): Promise<Map<number, { start: number; end: number }>>;
  endOffsets(topic: string): Promise<Map<number, number>>;
  /** Undefined where the group has no commit for the partition. */
  committed(group: string, topic: string, partition: number): Promise<Committed | undefined>;
  /** Of all partitions for which the group has a commit. */
  commits(group: string, topic: string): Promise<Map<number, Committed>>;
  /** Removes all records before the given offsets, as retention would. */
  deleteBefore(topic: string, offsets: ReadonlyMap<number, number>): Promise<void>;
}

export async function openAdmin(kafka: KafkaClient): Promise<Admin> {
  const admin = kafka.admin();
  await attempt('connect', () => admin.connect());
  return adminOver(admin);
}

function adminOver(admin: KafkaAdmin): Admin {
  const ranges = async (topic: string) => {
    const offsets = await attempt(`offsets of ${topic}`, () => admin.fetchTopicOffsets(topic));
    return new Map(offsets.map(o => [o.partition, { start: Number(o.low), end: Number(o.high) }]));
  };
  const commits = async (groupId: string, topic: string) => {
    const [found] = await attempt(`committed offsets of ${groupId}`, () =>
      admin.fetchOffsets({ groupId, topics: [topic] }),
    );
    const made = found?.partitions.filter(({ offset }) => offset !== '-1') ?? [];
    return new Map(
      made.map(o => [o.partition, { offset: Number(o.offset), metadata: o.metadata ?? '' } satisfies Committed]),
    );
  };
  return {
    ranges,
    commits,
    async endOffsets(topic) {
      return new Map([...(await ranges(topic))].map(([partition, { end }]) => [partition, end]));
    },
    async committed(groupId, topic, partition) {
      return (await commits(groupId, topic)).get(partition);
    },
    async deleteBefore(topic, offsets) {
      const partitions = [...offsets].map(([partition, offset]) => ({ partition, offset: String(offset) }));
      await attempt(`delete records of ${topic}`, () => admin.deleteTopicRecords({ topic, partitions }));
    },
    async [Symbol.asyncDispose]() {
      await admin.disconnect();
    },
  };
}

/** @throws ConfigError if the topic does not exist */
export async function partitionCount(kafka: KafkaClient, topic: string): Promise<number> {
  const admin = kafka.admin();
  await attempt('connect', () => admin.connect());
  try {
    const metadata = await admin.fetchTopicMetadata({ topics: [topic] });
    return metadata.topics[0]?.partitions.length ?? 0;
  } catch (error) {
    if (messageOf(error).includes('does not host this topic')) {
      throw new ConfigError(`Kafka has no topic ${topic}: create the topics first (node infra/setup-main.ts)`, {
        cause: error,
      });
    }
    throw translate(error, `metadata of ${topic}`);
  } finally {
    await admin.disconnect();
  }
}

/** For readiness: `check()` rejects unless the brokers answer for the topic. One connection, kept. */
export function topicProbe(kafka: KafkaClient, topic: string): { check(): Promise<void> } & AsyncDisposable {
  const admin = kafka.admin({ retry: { retries: 0 } });
  let connected = false;
  return {
    async check() {
      if (!connected) await admin.connect();
      connected = true;
      const metadata = await admin.fetchTopicMetadata({ topics: [topic] });
      if (metadata.topics[0]?.partitions.some(p => p.leader === -1))
        throw new Retryable(`${topic} has a partition without leader`);
    },
    async [Symbol.asyncDispose]() {
      if (connected) await admin.disconnect();
    },
  };
}

/**
 * Creates what is missing of the topics, with as many partitions as topic `clicks` has, or `partitions` where it is
 * missing too. Existing ones are left as they are: whether they agree is for those to say who know what is recorded
 * (ingest/hot-ads/), and how they become more is a matter of its own.
 * @throws ConfigError where more are asked for than there are
 */
export async function ensureTopics(kafka: KafkaClient, names: Names, partitions: number): Promise<void> {
  const admin = kafka.admin();
  await attempt('connect', () => admin.connect());
  const countsOf = async (topics: readonly string[]) => {
    if (topics.length === 0) return new Map<string, number>();
    const found = await attempt('metadata', () => admin.fetchTopicMetadata({ topics: [...topics] }));
    return new Map(found.topics.map(topic => [topic.name, topic.partitions.length]));
  };
  try {
    const existing = new Set(await attempt('list topics', () => admin.listTopics()));
    const before = await countsOf(topicNames.map(names.topic).filter(topic => existing.has(topic)));
    const count = before.get(names.topic('clicks')) ?? partitions;
    const missing = topicNames.filter(name => !existing.has(names.topic(name)));
    if (missing.length > 0) {
      await attempt('create topics', () =>
        admin.createTopics({ waitForLeaders: true, topics: missing.map(name => specOf(name, names, count)) }),
      );
    }
    const counts = await countsOf(topicNames.map(names.topic));
    for (const [name, expected] of Object.entries(fixedPartitions) as [TopicName, number][]) {
      const topic = names.topic(name);
      const found = counts.get(topic) ?? 0;
      if (found !== expected)
        throw new ConfigError(`topic ${topic} has ${found} partitions, and must have ${expected}`);
    }
    if (partitions > count)
      throw new ConfigError(
        `PARTITIONS=${partitions}: topic ${names.topic('clicks')} has ${count}. \`adclicks partitions --to ${partitions}\` grows ` +
          `a running pipeline; start it with PARTITIONS=${count}, or another TOPIC_PREFIX or DATA_DIR`,
      );
  } finally {
    await admin.disconnect();
  }
}

function specOf(name: (typeof topicNames)[number], names: Names, numPartitions: number) {
  const configEntries = Object.entries(topicSettings[name]).map(([key, value]) => ({ name: key, value }));
  // -1: the cluster's own default (three on a cluster of three, one on the embedded broker).
  return {
    topic: names.topic(name),
    numPartitions: fixedPartitions[name] ?? numPartitions,
    replicationFactor: -1,
    configEntries,
  };
}

const attempts = 6;

/**
 * Leaders and coordinators move when a broker restarts. kafkajs asks again where it produces and consumes, but not in
 * its admin client, so that is done here, for about 3 s.
 */
async function attempt<T>(doing: string, work: () => Promise<T>): Promise<T> {
  for (let tried = 1; ; tried++) {
    try {
      return await work();
    } catch (error) {
      if (tried === attempts || !isRetriable(error)) throw translate(error, doing);
      await sleep(100 * 2 ** (tried - 1));
    }
  }
}
