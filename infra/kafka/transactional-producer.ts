/**
 * The transactional producer of one task, for one term of ownership. It lives until its first failure.
 *
 * - `connect()` of kafkajs does not fence: it initialises another, idempotent producer id. The transactional
 *   InitProducerId is sent by the first `transaction()`; so fencing is an empty transaction, aborted.
 * - A failed commit leaves kafkajs' state machine stuck, and nobody knows whether the broker has committed. So no call is
 *   ever repeated on the same producer: the caller disposes it, opens a new one (which fences this one, and makes the
 *   broker end what is pending) and asks the broker for the committed offset.
 */
import type { Offsets, Transaction } from 'kafkajs';
import { Fenced } from '../errors.ts';
import type { Committed } from './admin.ts';
import type { KafkaClient } from './client.ts';
import { translate } from './errors.ts';
import type { OutgoingRecord } from './producer.ts';

/** One `send` is one record batch per partition: keep it well below the topics' `max.message.bytes`. */
export interface TransactionContent {
  readonly sends: readonly { readonly topic: string; readonly records: readonly OutgoingRecord[] }[];
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly commit: Committed;
}

export interface TransactionalProducer extends AsyncDisposable {
  /**
   * Records and offset, or neither.
   * @throws Fenced, always: whatever went wrong, the outcome is for the broker to tell
   */
  commit(content: TransactionContent): Promise<void>;
}

/** Opens the producer and fences every earlier one with the same id. Only afterwards may committed offsets be read. */
export async function openTransactionalProducer(
  kafka: KafkaClient,
  transactionalId: string,
): Promise<TransactionalProducer> {
  const producer = kafka.producer({
    transactionalId,
    idempotent: true,
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
    transactionTimeout: 10_000,
    // The next transaction often meets CONCURRENT_TRANSACTIONS while the broker writes the markers of the last one:
    // with the default first pause of 300 ms that alone would be most of the latency.
    retry: { initialRetryTime: 5, multiplier: 1.5, maxRetryTime: 500, retries: 25 },
  });
  try {
    await producer.connect();
    const fence = await producer.transaction();
    await fence.abort();
  } catch (error) {
    await producer.disconnect().catch(() => undefined);
    throw translate(error, `fence ${transactionalId}`);
  }
  return {
    async commit(content) {
      try {
        await commitOn(await producer.transaction(), content);
      } catch (error) {
        throw new Fenced(`transaction of ${transactionalId}: ${translate(error, 'failed').message}`, { cause: error });
      }
    },
    async [Symbol.asyncDispose]() {
      await producer.disconnect().catch(() => undefined);
    },
  };
}

async function commitOn(transaction: Transaction, { sends, group, topic, partition, commit }: TransactionContent) {
  try {
    for (const { topic, records } of sends) {
      await transaction.send({
        topic,
        acks: -1,
        messages: records.map(({ partition, value, headers }) => ({
          partition,
          value,
          ...(headers ? { headers: { ...headers } } : {}),
        })),
      });
    }
    // kafkajs' type leaves out `metadata`, which it does send (TxnOffsetCommit v1).
    const offsets = [{ partition, offset: String(commit.offset), metadata: commit.metadata }];
    await transaction.sendOffsets({ consumerGroupId: group, topics: [{ topic, partitions: offsets }] } as Offsets & {
      consumerGroupId: string;
    });
    await transaction.commit();
  } catch (error) {
    // Best effort, so that readers need not wait for the timeout; if it fails the next fence does it.
    if (transaction.isActive()) await transaction.abort().catch(() => undefined);
    throw error;
  }
}
