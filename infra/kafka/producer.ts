/**
 * Creates a plain (not transactional) producer that survives the loss of brokers: partition-sender.ts over connections
 * of its own.
 */
import type { BrokerRequests, TopicPartition } from './broker-requests.ts';
import type { KafkaClient } from './client.ts';
import { translate } from './errors.ts';
import type { OutgoingRecord } from './outgoing-record.ts';
import { type OutgoingBatch, Sender } from './partition-sender.ts';

export interface Producer extends AsyncDisposable {
  /**
   * Resolves when the brokers have acknowledged all records as `acks` requires. @throws Retryable when none, some or
   * all of them may be in the log
   */
  send(topic: string, records: readonly OutgoingRecord[]): Promise<void>;
  /** Sends one batch of one partition, whose records are requested at the last moment. */
  sendBatch(to: TopicPartition, batch: OutgoingBatch): void;
}

export interface ProducerOptions {
  /** -1: all in-sync replicas, idempotent; 1: the leader; 0: no acknowledgement. */
  readonly acks: -1 | 1 | 0;
  /** A batch that was not acknowledged for this long has failed. */
  readonly timeoutMs: number;
}

export function createProducer(kafka: KafkaClient, options: ProducerOptions): Producer {
  return producerOver(kafka.brokerRequests(), options);
}

export function producerOver(requests: BrokerRequests, options: ProducerOptions): Producer {
  const sender = new Sender(requests, options);
  /** Waited for before the producer is closed. */
  const underWay = new Set<Promise<void>>();
  const sendBatch = (to: TopicPartition, batch: OutgoingBatch) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    underWay.add(promise);
    sender.send(to, {
      take: batch.take,
      settled(error) {
        underWay.delete(promise);
        resolve();
        batch.settled(error && translate(error, `produce to ${to.topic}`));
      },
    });
  };
  return {
    sendBatch,
    async send(topic, records) {
      await sendAll(sendBatch, topic, records);
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(underWay);
      await sender[Symbol.asyncDispose]();
      await requests[Symbol.asyncDispose]();
    },
  };
}

/** Sends records of any partitions of a topic. When any of them has failed, rejects once all have been settled. */
export async function sendAll(
  sendBatch: (to: TopicPartition, batch: OutgoingBatch) => void,
  topic: string,
  records: readonly OutgoingRecord[],
): Promise<void> {
  const outcomes = [...Map.groupBy(records, ({ partition }) => partition)].map(async ([partition, ofPartition]) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const settled = (error?: Error) => (error ? reject(error) : resolve());
    sendBatch({ topic, partition }, { take: () => ofPartition, settled });
    await promise;
  });
  const failed = (await Promise.allSettled(outcomes)).find(outcome => outcome.status === 'rejected');
  if (failed) throw failed.reason;
}
