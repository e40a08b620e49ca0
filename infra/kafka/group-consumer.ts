/**
 * A member of a consumer group that leaves positions to its owner.
 *
 * kafkajs' own offset handling is switched off (`autoCommit: false`: with it on, even `seek` commits). What remains and
 * is guarded here or by the owner:
 * - A rebalance makes kafkajs forget all positions: `onAssigned` runs synchronously before the first fetch of the new
 *   generation, and whatever it seeks or pauses counts.
 * - Batches fetched before a rebalance or a seek may still arrive: each batch tells `fetchedOffset`, and the owner drops
 *   those it did not ask for.
 * - Batches of control records alone are never handed over: `onGap` tells how far they reach.
 * - What goes wrong in the cluster and passes is overcome as the same member, broker by broker (group-membership.ts,
 *   group-coordinator.ts), and who leads what is asked every few seconds, as a broker that hangs says nothing of that.
 * - OFFSET_OUT_OF_RANGE ends the consumer with `Corrupt` (offset-out-of-range.ts).
 * - After an error that it cannot retry, kafkajs leaves the group and joins it anew. In between `seek`, `pause` and
 *   `resume` throw. Where the coordinator is not found, as while the brokers are away, it would leave for good: then the
 *   group is joined again from here, for as long as it takes.
 */
import type { Consumer, EachBatchPayload } from 'kafkajs';
import { messageOf, Retryable } from '../errors.ts';
import type { Logger } from '../log.ts';
import { release } from './answer-memory.ts';
import type { KafkaClient } from './client.ts';
import type { Committed } from './committed.ts';
import { corruptIn, isCausedBy, translate } from './errors.ts';
import { type BatchMessage, recordsFrom } from './fetch-decoder.ts';
import './group-membership.ts';
import './offset-out-of-range.ts';
import type { LogRecord } from './record-batch.ts';

export interface FetchedBatch {
  readonly topic: string;
  readonly partition: number;
  /** The offset asked for. */
  readonly fetchedOffset: number;
  /** The offset to ask for next. */
  readonly nextOffset: number;
  readonly highWatermark: number;
  readonly records: Iterable<LogRecord>;
  /** To be called during work that takes longer than a second or so; rejects when the group rebalances. */
  heartbeat(): Promise<void>;
}

export interface GroupConsumerOptions {
  readonly group: string;
  readonly topics: readonly string[];
  readonly isolation: 'read_committed' | 'read_uncommitted';
  readonly sessionTimeoutMs: number;
  /** How often it says that it is there, and so how late it hears that its group rearranges itself; left out: see `heartbeatMsOf`. */
  readonly heartbeatMs?: number;
  /** Longest wait of a fetch for data; also how late a resume may act. */
  readonly maxWaitMs: number;
  /** A fetch waits until there is so much. */
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly maxBytesPerPartition: number;
  /** Batches of different partitions handled at the same time. */
  readonly concurrency: number;
  /** Whether the records of a batch are used after `onBatch` has ended; if not, their memory is used again. */
  readonly keepsRecords: boolean;
  readonly log: Logger;
  /** Called before the group is joined: `onAssigned` and `onBatch` may use it. */
  onOpen(consumer: GroupConsumer): void;
  /** Synchronous. Partitions by topic, of this member, from now on. */
  onAssigned(assigned: ReadonlyMap<string, readonly number[]>): void;
  /** A rejection makes the consumer fetch the same again. */
  onBatch(batch: FetchedBatch): Promise<void>;
  onGap(topic: string, partition: number, firstOffset: number, nextOffset: number): void;
  /** The consumer has ended for good; it must be opened anew, or, where the error is Corrupt, a person has to decide. */
  onCrash(error: Error): void;
}

export interface GroupConsumer extends AsyncDisposable {
  /** @throws Retryable: not a member of the group now */
  seek(topic: string, partition: number, offset: number): void;
  /**
   * Outlives a rebalance, but not every one: after each the owner has to ask again, or to resume.
   * @throws Retryable: not a member of the group now
   */
  pause(topic: string, partition: number): void;
  /** @throws Retryable: not a member of the group now */
  resume(topic: string, partition: number): void;
  /** Commits outside any transaction; rejected by the broker if the member has been replaced. */
  commit(topic: string, commits: ReadonlyMap<number, Committed>): Promise<void>;
}

export async function openGroupConsumer(kafka: KafkaClient, options: GroupConsumerOptions): Promise<GroupConsumer> {
  const consumer = kafka.consumer({
    groupId: options.group,
    sessionTimeout: options.sessionTimeoutMs,
    heartbeatInterval: heartbeatMsOf(options),
    rebalanceTimeout: 2 * options.sessionTimeoutMs,
    maxWaitTimeInMs: options.maxWaitMs,
    minBytes: options.minBytes,
    maxBytes: options.maxBytes,
    maxBytesPerPartition: options.maxBytesPerPartition,
    readUncommitted: options.isolation === 'read_uncommitted',
    allowAutoTopicCreation: false,
    metadataMaxAge: metadataMaxAgeMs,
    retry: { initialRetryTime: 100, maxRetryTime: 1_000, retries: 60 },
  });
  let closed = false;
  const join = async () => {
    await consumer.connect();
    await consumer.subscribe({ topics: [...options.topics], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: true,
      partitionsConsumedConcurrently: options.concurrency,
      eachBatch: payload => (options.keepsRecords ? options.onBatch(batchOf(payload)) : lent(payload, options)),
    });
  };
  const joinAgain = async () => {
    for (;;) {
      await new Promise(resolve => setTimeout(resolve, rejoinPauseMs));
      if (closed) return;
      try {
        await join();
        // Closed meanwhile: what was closed must not go on reading.
        if (closed) await consumer.disconnect();
        return;
      } catch (error) {
        options.log.warn({ group: options.group, why: messageOf(error) }, 'group not joined yet');
      }
    }
  };
  listen(consumer, options, { joinAgain, isClosed: () => closed });
  const asMember = <T>(doing: string, work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw translate(error, `${doing} in ${options.group}`);
    }
  };
  const opened: GroupConsumer = {
    seek: (topic, partition, offset) =>
      asMember('seek', () => consumer.seek({ topic, partition, offset: String(offset) })),
    pause: (topic, partition) => asMember('pause', () => consumer.pause([{ topic, partitions: [partition] }])),
    resume: (topic, partition) => asMember('resume', () => consumer.resume([{ topic, partitions: [partition] }])),
    async commit(topic, commits) {
      try {
        await consumer.commitOffsets(
          [...commits].map(([partition, { offset, metadata }]) => ({
            topic,
            partition,
            offset: String(offset),
            metadata,
          })),
        );
      } catch (error) {
        throw translate(error, `commit of ${options.group}`);
      }
    },
    async [Symbol.asyncDispose]() {
      closed = true;
      await consumer.disconnect();
    },
  };
  options.onOpen(opened);
  try {
    await join();
  } catch (error) {
    await consumer.disconnect().catch(() => undefined);
    throw translate(error, `join group ${options.group}`);
  }
  return opened;
}

/**
 * Four in a session; and never so seldom that one who joins waits long for the others, who hear of it by their next
 * heartbeat: 3 s, as Kafka's own clients.
 */
export function heartbeatMsOf({
  sessionTimeoutMs,
  heartbeatMs = 3_000,
}: Pick<GroupConsumerOptions, 'sessionTimeoutMs' | 'heartbeatMs'>): number {
  return Math.min(heartbeatMs, Math.floor(sessionTimeoutMs / 4));
}

/** A member that is silent while its work takes long would lose its partitions. */
export async function whileBeating(batch: FetchedBatch, work: Promise<void>): Promise<void> {
  const beating = setInterval(() => void batch.heartbeat().catch(() => undefined), heartbeatMs);
  try {
    await work;
  } finally {
    clearInterval(beating);
  }
}

const heartbeatMs = 1_000;

const rejoinPauseMs = 1_000;
const metadataMaxAgeMs = 3_000;

function listen(
  consumer: Consumer,
  options: GroupConsumerOptions,
  { joinAgain, isClosed }: { joinAgain(): Promise<void>; isClosed(): boolean },
): void {
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    const assigned = new Map(Object.entries(payload.memberAssignment));
    options.log.info({ group: options.group, assigned: payload.memberAssignment }, 'partitions assigned');
    options.onAssigned(assigned);
  });
  consumer.on(consumer.events.START_BATCH_PROCESS, ({ payload }) => {
    if (payload.batchSize > 0) return;
    options.onGap(payload.topic, payload.partition, Number(payload.firstOffset), Number(payload.lastOffset) + 1);
  });
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    const { error, restart } = payload;
    // It was to end.
    if (isClosed()) return;
    const isOutage = isCausedBy(error, 'KafkaJSGroupCoordinatorNotFound');
    if (restart || isOutage) options.log.warn({ group: options.group, why: error.message }, 'consumer joins again');
    else
      options.onCrash(
        corruptIn(error) ?? new Retryable(`consumer of ${options.group} ended: ${error.message}`, { cause: error }),
      );
    if (isOutage) void joinAgain();
  });
}

async function lent(payload: EachBatchPayload, { onBatch }: GroupConsumerOptions): Promise<void> {
  const [first] = payload.batch.messages as unknown as BatchMessage[];
  try {
    await onBatch(batchOf(payload));
  } finally {
    if (first) release(first.fetched);
  }
}

/** `fetchedOffset` is a field of kafkajs' Batch that its types leave out; its messages are batches (fetch-decoder.ts). */
function batchOf({ batch, heartbeat }: EachBatchPayload): FetchedBatch {
  const { messages, fetchedOffset } = batch as unknown as { messages: BatchMessage[]; fetchedOffset: string };
  return {
    topic: batch.topic,
    partition: batch.partition,
    fetchedOffset: Number(fetchedOffset),
    nextOffset: Number(batch.lastOffset()) + 1,
    highWatermark: Number(batch.highWatermark),
    records: { [Symbol.iterator]: () => recordsFrom(Number(fetchedOffset), messages) },
    heartbeat,
  };
}
