/**
 * Reads how many partitions topics have, from the brokers at that moment (the metadata of an admin client is never
 * older than the question), and adds partitions. Kafka can only add partitions, never remove them.
 */
import type { Admin as KafkaAdmin } from 'kafkajs';
import { ConfigError, messageOf, Retryable } from '../errors.ts';
import type { KafkaClient } from './client.ts';
import { translate } from './errors.ts';

export interface TopicPartitions extends AsyncDisposable {
  /** By topic. @throws ConfigError when a topic does not exist; Retryable */
  counts(): Promise<ReadonlyMap<string, number>>;
  /** Resolves when the brokers have accepted it. A topic that has as many or more stays unchanged. @throws Retryable */
  grow(topic: string, to: number): Promise<void>;
  /** Whether each topic has at least this many partitions, each with a leader. @throws Retryable */
  areLed(count: number): Promise<boolean>;
}

export function openTopicPartitions(kafka: KafkaClient, topics: readonly string[]): TopicPartitions {
  let connected: Promise<KafkaAdmin> | undefined;
  const connect = async () => {
    const admin = kafka.admin();
    await admin.connect();
    return admin;
  };
  const forget = async () => {
    const admin = connected;
    connected = undefined;
    await admin?.then(open => open.disconnect()).catch(() => undefined);
  };
  const ask = async <T>(doing: string, work: (admin: KafkaAdmin) => Promise<T>): Promise<T> => {
    connected ??= connect();
    try {
      return await work(await connected);
    } catch (error) {
      // Another connection may succeed.
      await forget();
      if (messageOf(error).includes('does not host this topic'))
        throw new ConfigError(
          `Kafka has not all of the topics ${topics.join(', ')}: create them first (adclicks-server setup)`,
          { cause: error },
        );
      throw translate(error, doing);
    }
  };
  const partitionsOf = async () => {
    const metadata = await ask('metadata', admin => admin.fetchTopicMetadata({ topics: [...topics] }));
    return new Map(metadata.topics.map(({ name, partitions }) => [name, partitions]));
  };
  const counts = async () =>
    new Map([...(await partitionsOf())].map(([topic, partitions]) => [topic, partitions.length]));
  return {
    counts,
    async grow(topic, to) {
      if (((await counts()).get(topic) ?? 0) >= to) return;
      try {
        await ask(`grow ${topic}`, admin => admin.createPartitions({ topicPartitions: [{ topic, count: to }] }));
      } catch (error) {
        // Another process may have been faster, or the answer was lost. What counts is the number that exists.
        if (((await counts()).get(topic) ?? 0) < to) throw asRetryable(error, topic, to);
      }
    },
    async areLed(count) {
      const found = await partitionsOf();
      return topics.every(topic => {
        const partitions = found.get(topic) ?? [];
        return partitions.length >= count && partitions.every(({ leader }) => leader >= 0);
      });
    },
    [Symbol.asyncDispose]: forget,
  };
}

function asRetryable(error: unknown, topic: string, to: number): Retryable {
  return new Retryable(`topic ${topic} could not be grown to ${to} partitions: ${messageOf(error)}`, { cause: error });
}
