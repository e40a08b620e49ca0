/**
 * Asks the brokers for everything apart from reading and writing: topics, committed offsets, the ends of partitions.
 *
 * Something that an answer lacks is an error, and never "none": if a partition were missing among the committed
 * offsets, its reader would begin at the beginning of the log. kafkajs asks only for the partitions that its metadata
 * knows at the time. So answers are also compared with the number of partitions, which never falls. (Single answers:
 * checked-answers.ts.)
 */
import type { Admin as KafkaAdmin } from 'kafkajs';
import { ConfigError, messageOf, Retryable } from '../errors.ts';
import { fixedPartitions, type Names, type TopicName, topicNames, topicSettings } from '../topics.ts';
import { withHighWatermarks } from './checked-answers.ts';
import type { KafkaClient } from './client.ts';
import type { Committed } from './committed.ts';
import { isRetriable, translate } from './errors.ts';
import { isPassing } from './passing-errors.ts';

export type Isolation = 'read_committed' | 'read_uncommitted';

export interface Admin extends AsyncDisposable {
  /**
   * The first offset that is still in the log and the end of what such a reader can reach, per partition. For
   * read_committed, which is the default, that is the last stable offset: kafkajs sends an admin's ListOffsets without an
   * isolation level, and its request then uses READ_COMMITTED. For read_uncommitted it is the high watermark. The two
   * differ while a transaction is open, whoever has begun it. So topic `clicks`, whose readers do not wait for
   * transactions, is always asked about as it is read: against the last stable offset they would be beyond the end. The
   * contract test on the real broker ("holds back everything behind an open transaction") would notice a different
   * kafkajs.
   */
  ranges(topic: string, isolation?: Isolation): Promise<Map<number, { start: number; end: number }>>;
  endOffsets(topic: string, isolation?: Isolation): Promise<Map<number, number>>;
  /** Returns undefined when the group has no commit for the partition. */
  committed(group: string, topic: string, partition: number): Promise<Committed | undefined>;
  /** For all partitions for which the group has a commit. */
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
  /** By topic, the highest number that was seen. */
  const seen = new Map<string, number>();
  const complete = (what: string, topic: string, partitions: readonly { readonly partition: number }[]) => {
    const missing = missingOf(partitions, seen.get(topic) ?? 1);
    if (missing !== undefined) throw new Retryable(`${what}: the answer does not contain ${topic}[${missing}]`);
    seen.set(topic, partitions.length);
  };
  const ranges = async (topic: string, isolation: Isolation = 'read_committed') => {
    const doing = `offsets of ${topic}`;
    const ask = () => attempt(doing, () => admin.fetchTopicOffsets(topic), failoverMs);
    const offsets = await (isolation === 'read_committed' ? ask() : withHighWatermarks(ask));
    complete(doing, topic, offsets);
    return new Map(
      offsets.map(({ partition, low, high }) => {
        const [start, end] = [Number(low), Number(high)];
        if (!/^\d+$/.test(low) || !(end >= start))
          throw new Retryable(`${doing}: [${partition}] from ${low} to ${high}`);
        return [partition, { start, end }];
      }),
    );
  };
  const answered = async (groupId: string, topic: string) => {
    const doing = `committed offsets of ${groupId}`;
    const found = await attempt(doing, () => admin.fetchOffsets({ groupId, topics: [topic] }), failoverMs);
    const partitions = found.filter(of => of.topic === topic).flatMap(of => of.partitions);
    complete(doing, topic, partitions);
    return new Map(partitions.map(of => [of.partition, committedIn(of)]));
  };
  const commits = async (groupId: string, topic: string) => {
    const made = [...(await answered(groupId, topic))];
    return new Map(made.flatMap(([partition, commit]) => (commit ? [[partition, commit] as const] : [])));
  };
  return {
    ranges,
    commits,
    async endOffsets(topic, isolation) {
      return new Map([...(await ranges(topic, isolation))].map(([partition, { end }]) => [partition, end]));
    },
    async committed(groupId, topic, partition) {
      const all = await answered(groupId, topic);
      if (!all.has(partition))
        throw new Retryable(`committed offsets of ${groupId}: the answer does not contain ${topic}[${partition}]`);
      return all.get(partition);
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

const noCommit = '-1';

function committedIn({ offset, metadata }: { offset: string; metadata?: string | null }): Committed | undefined {
  return offset === noCommit ? undefined : { offset: Number(offset), metadata: metadata ?? '' };
}

/** Returns the lowest of the partitions 0, 1, 2 … that is missing. There are at least `least` partitions. */
function missingOf(partitions: readonly { readonly partition: number }[], least: number): number | undefined {
  const found = new Set(partitions.map(({ partition }) => partition));
  for (let id = 0; id < Math.max(least, partitions.length); id++) if (!found.has(id)) return id;
  return undefined;
}

/** @throws ConfigError if the topic does not exist */
export async function partitionCount(kafka: KafkaClient, topic: string): Promise<number> {
  const admin = kafka.admin();
  await attempt('connect', () => admin.connect());
  try {
    const metadata = await admin.fetchTopicMetadata({ topics: [topic] });
    const count = metadata.topics.find(({ name }) => name === topic)?.partitions.length ?? 0;
    if (count === 0) throw new Retryable(`metadata of ${topic}: no partitions`);
    return count;
  } catch (error) {
    if (messageOf(error).includes('does not host this topic')) {
      throw new ConfigError(`Kafka has no topic ${topic}: create the topics first (adclicks-server setup)`, {
        cause: error,
      });
    }
    throw translate(error, `metadata of ${topic}`);
  } finally {
    await admin.disconnect();
  }
}

/** For readiness: `check()` rejects unless the brokers answer for the topic. It keeps one connection. */
export function topicProbe(kafka: KafkaClient, topic: string): { check(): Promise<void> } & AsyncDisposable {
  const admin = kafka.admin({ retry: { retries: 0 } });
  let connected = false;
  return {
    async check() {
      if (!connected) await admin.connect();
      connected = true;
      const metadata = await admin.fetchTopicMetadata({ topics: [topic] });
      if (metadata.topics[0]?.partitions.some(p => p.leader === -1))
        throw new Retryable(`${topic} has a partition without a leader`);
    },
    async [Symbol.asyncDispose]() {
      if (connected) await admin.disconnect();
    },
  };
}

/**
 * Creates the missing topics, with as many partitions as topic `clicks` has, or with `partitions` if that is missing
 * too. Existing topics are left unchanged: the code that knows the recorded number checks whether they agree
 * (ingest/hot-ads/), and adding partitions is a separate operation. @throws ConfigError when more partitions are
 * requested than there are
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
        throw new ConfigError(`topic ${topic} has ${found} partitions, but must have ${expected}`);
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
  // -1 means the cluster's own default (three on a cluster of three, one on the embedded broker).
  return {
    topic: names.topic(name),
    numPartitions: fixedPartitions[name] ?? numPartitions,
    replicationFactor: -1,
    configEntries,
  };
}

const attempts = 6;
const failoverPauseMs = 250;
/** A cluster needs 9 s to notice that a broker is dead, and a moment to replace it. */
const failoverMs = 12_000;

/**
 * Leaders and coordinators move when a broker restarts. kafkajs repeats requests when it produces and consumes, but not
 * in its admin client. So this function repeats them, for about 3 s, or for `throughMs` when a failover should be
 * waited for, because the caller would otherwise come again only after its end.
 */
async function attempt<T>(doing: string, work: () => Promise<T>, throughMs = 0): Promise<T> {
  const startedAt = performance.now();
  for (let tried = 1; ; tried++) {
    try {
      return await work();
    } catch (error) {
      const isTried = tried >= attempts || !isRetriable(error);
      const isOver = !isPassing(error) || performance.now() - startedAt > throughMs;
      if (isTried && isOver) throw translate(error, doing);
      const pauseMs = isTried ? failoverPauseMs : 100 * 2 ** (tried - 1);
      await new Promise(resolve => setTimeout(resolve, pauseMs));
    }
  }
}
