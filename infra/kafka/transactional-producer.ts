/**
 * Opens the transactional producer of one task, or of the process that runs the jobs, for one term of ownership. It
 * lives until its first failure.
 *
 * Opening it fences: InitProducerId aborts every former owner's transaction and ends its right to write, and answers
 * only when that is done. Then each transaction adds its partitions, appends the records (partition-sender.ts), adds
 * the offset, and commits or aborts. An answer that lacks a partition is an error like any other.
 *
 * A request that a coordinator refused because it is loading, has moved, or is still writing the markers of the
 * transaction before is repeated, because it had no effect. Only the end is requested once: without an answer nobody
 * knows whether the broker has committed. The caller then disposes of the producer, opens a new one (which fences this
 * one, and makes the broker end what is pending) and asks the broker for the committed offset. Kafka's protocol from
 * before KIP-890 can mistake a late EndTxn for that of the next transaction. A producer that is never used after a
 * failure sends no next one.
 */
import { Fenced } from '../errors.ts';
import type { BrokerRequests, TopicPartition, TransactionalIdentity } from './broker-requests.ts';
import type { KafkaClient } from './client.ts';
import type { Committed } from './committed.ts';
import { translate, typeOf } from './errors.ts';
import { Sender } from './partition-sender.ts';
import { sendAll } from './producer.ts';
import type { Send } from './sends.ts';

/**
 * One element of `sends` is one record batch per partition. It must stay well below the topics' `max.message.bytes`.
 */
export interface TransactionRecords {
  readonly sends: readonly Send[];
}

/** Records, and the offset up to which they are the result of what `group` has read. */
export interface TransactionContent extends TransactionRecords {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly commit: Committed;
}

export interface TransactionalProducer extends AsyncDisposable {
  /**
   * Writes the records, and the offset if there is one, or nothing of it. @throws Fenced after any error, because only
   * the broker knows the outcome
   */
  commit(content: TransactionContent | TransactionRecords): Promise<void>;
}

export interface TransactionLimits {
  /** The brokers end a transaction that lasts longer. */
  readonly timeoutMs: number;
  /** The time for a transaction without its end. */
  readonly patienceMs: number;
}

const taskLimits: TransactionLimits = { timeoutMs: 10_000, patienceMs: 8_000 };

/** Opens the producer and fences every earlier one with the same id. Committed offsets may be read only after that. */
export async function openTransactionalProducer(
  kafka: KafkaClient,
  transactionalId: string,
  limits = taskLimits,
): Promise<TransactionalProducer> {
  const requests = kafka.brokerRequests();
  try {
    const identity = await patiently(performance.now() + limits.patienceMs, () =>
      requests.initTransactions(transactionalId, limits.timeoutMs),
    );
    return producerOf(requests, { transactionalId, ...identity }, limits.patienceMs);
  } catch (error) {
    await requests[Symbol.asyncDispose]();
    throw translate(error, `fence ${transactionalId}`);
  }
}

function producerOf(
  requests: BrokerRequests,
  identity: TransactionalIdentity,
  patienceMs: number,
): TransactionalProducer {
  const { transactionalId } = identity;
  const transaction = { transactionalId, identity };
  const sender = new Sender(requests, { acks: -1, timeoutMs: patienceMs, transaction });
  let failed: unknown;

  const write = async (content: TransactionContent | TransactionRecords) => {
    const untilMs = performance.now() + patienceMs;
    const { sends } = content;
    const partitions = partitionsOf(sends);
    if (partitions.length > 0) await patiently(untilMs, () => requests.addPartitions(identity, partitions));
    const sendBatch = sender.send.bind(sender);
    await Promise.all(sends.map(({ topic, records }) => sendAll(sendBatch, topic, records)));
    if ('group' in content) {
      const { group, topic, partition, commit } = content;
      await patiently(untilMs, () => requests.addOffsets(identity, group));
      await patiently(untilMs, () => requests.commitOffset(identity, group, { topic, partition }, commit));
    }
    await requests.endTransaction(identity, 'commit');
  };
  return {
    async commit(content) {
      try {
        if (failed !== undefined) throw new Error('the producer has failed before', { cause: failed });
        await write(content);
      } catch (error) {
        failed ??= error;
        throw new Fenced(`transaction of ${transactionalId}: ${translate(error, 'failed').message}`, { cause: error });
      }
    },
    async [Symbol.asyncDispose]() {
      await sender[Symbol.asyncDispose]();
      await requests[Symbol.asyncDispose]();
    },
  };
}

function partitionsOf(sends: readonly Send[]): TopicPartition[] {
  return sends
    .flatMap(({ topic, records }) =>
      [...new Set(records.map(({ partition }) => partition))].map(partition => ({ topic, partition })),
    )
    .filter(
      ({ topic, partition }, i, all) =>
        all.findIndex(each => each.topic === topic && each.partition === partition) === i,
    );
}

/** The next transaction often meets CONCURRENT_TRANSACTIONS while the broker writes the markers of the last one. */
const firstPauseMs = 5;
const longestPauseMs = 250;

/** The names that kafkajs, and for some of them a simulated broker, uses. */
const refusals: ReadonlySet<string | undefined> = new Set([
  'CONCURRENT_TRANSACTIONS',
  'GROUP_LOAD_IN_PROGRESS',
  'GROUP_COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR_FOR_GROUP',
  'UNKNOWN_TOPIC_OR_PARTITION',
]);

async function patiently<T>(untilMs: number, work: () => Promise<T>): Promise<T> {
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 1.5)) {
    try {
      return await work();
    } catch (error) {
      if (!refusals.has(typeOf(error)) || performance.now() + pauseMs > untilMs) throw error;
    }
    await new Promise(resolve => setTimeout(resolve, pauseMs));
  }
}
