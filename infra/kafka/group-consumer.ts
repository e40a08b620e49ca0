/**
 * Opens a member of a consumer group that leaves positions to its owner.
 *
 * kafkajs' own handling of offsets is switched off (`autoCommit: false`; with it on, even `seek` commits). What remains
 * is guarded here or by the owner:
 * - A rebalance makes kafkajs forget all positions. `onAssigned` runs synchronously before the first fetch of the new
 *   generation, and whatever it seeks or pauses takes effect.
 * - Batches that were fetched before a rebalance or a seek may still arrive. Each batch has its `fetchedOffset`, and
 *   the owner drops batches that it did not ask for.
 * - Batches that contain only control records are never passed on. `onGap` reports how far they reach.
 * - Passing problems of the cluster are overcome by the same member, broker by broker (group-membership.ts,
 *   group-coordinator.ts). The leaders are looked up every few seconds, because a broker that hangs does not report
 *   that it has lost its role.
 * - OFFSET_OUT_OF_RANGE ends the consumer with `Corrupt` (offset-out-of-range.ts).
 */
import type { Consumer, ConsumerConfig, EachBatchPayload } from 'kafkajs';
import { messageOf, Retryable } from '../errors.ts';
import type { Logger } from '../log.ts';
import { release } from './answer-memory.ts';
import type { KafkaClient } from './client.ts';
import type { Committed } from './committed.ts';
import { corruptIn, isCausedBy, translate } from './errors.ts';
import { type BatchMessage, recordsFrom } from './fetch-decoder.ts';
import { waitForFirstByte } from './group-membership.ts';
import './offset-out-of-range.ts';
import type { LogRecord } from './record-batch.ts';

export interface FetchedBatch {
  readonly topic: string;
  readonly partition: number;
  /** The requested offset. */
  readonly fetchedOffset: number;
  /** The offset to request next. */
  readonly nextOffset: number;
  readonly highWatermark: number;
  readonly records: Iterable<LogRecord>;
  /** Must be called during work that takes longer than about a second. Rejects when the group rebalances. */
  heartbeat(): Promise<void>;
}

export interface GroupConsumerOptions {
  readonly group: string;
  readonly topics: readonly string[];
  readonly isolation: 'read_committed' | 'read_uncommitted';
  readonly sessionTimeoutMs: number;
  /**
   * How often the member sends heartbeats, and so how late it learns that its group rebalances. The default is that of
   * `heartbeatMsOf`.
   */
  readonly heartbeatMs?: number;
  /** How long the others of the group have to join it again; left out: two sessions. */
  readonly rebalanceTimeoutMs?: number;
  /** How long a fetch waits for the first byte, however little was found before; left out: as idle-fetches.ts has it. */
  readonly firstByteWaitMs?: number;
  /** Longest wait of a fetch for data; also how late a resume may act. */
  readonly maxWaitMs: number;
  /** A fetch waits until there are this many bytes. */
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly maxBytesPerPartition: number;
  /** The number of batches, of different partitions, that are handled at the same time. */
  readonly concurrency: number;
  /** Whether the records of a batch are used after `onBatch` has ended. If not, their memory is used again. */
  readonly keepsRecords: boolean;
  readonly log: Logger;
  /** Is called before the group is joined. `onAssigned` and `onBatch` may use the consumer. */
  onOpen(consumer: GroupConsumer): void;
  /** Must be synchronous. The partitions of this member from now on, by topic. */
  onAssigned(assigned: ReadonlyMap<string, readonly number[]>): void;
  /** When it rejects, the consumer fetches the same records again. */
  onBatch(batch: FetchedBatch): Promise<void>;
  onGap(topic: string, partition: number, firstOffset: number, nextOffset: number): void;
  /** The consumer has ended for good. It must be opened again, or a person must decide if the error is Corrupt. */
  onCrash(error: Error): void;
}

export interface GroupConsumer extends AsyncDisposable {
  /** @throws Retryable while it is not a member of the group */
  seek(topic: string, partition: number, offset: number): void;
  /**
   * May survive a rebalance, but not every one. After each rebalance the owner must pause again, or resume. @throws
   * Retryable while it is not a member of the group
   */
  pause(topic: string, partition: number): void;
  /** @throws Retryable while it is not a member of the group */
  resume(topic: string, partition: number): void;
  /** Commits outside of any transaction. The broker rejects it if the member has been replaced. */
  commit(topic: string, commits: ReadonlyMap<number, Committed>): Promise<void>;
}

export async function openGroupConsumer(kafka: KafkaClient, options: GroupConsumerOptions): Promise<GroupConsumer> {
  const consumer = kafka.consumer(configOf(options));
  if (options.firstByteWaitMs !== undefined) waitForFirstByte(options.group, options.firstByteWaitMs);
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
        // It was closed meanwhile, and must not continue to read.
        if (closed) await consumer.disconnect();
        return;
      } catch (error) {
        options.log.warn({ group: options.group, why: messageOf(error) }, 'group not joined yet');
      }
    }
  };
  listen(consumer, options, { joinAgain, isClosed: () => closed });
  const opened: GroupConsumer = {
    ...memberOf(consumer, options.group),
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

function configOf(options: GroupConsumerOptions): ConsumerConfig {
  return {
    groupId: options.group,
    sessionTimeout: options.sessionTimeoutMs,
    heartbeatInterval: heartbeatMsOf(options),
    rebalanceTimeout: options.rebalanceTimeoutMs ?? 2 * options.sessionTimeoutMs,
    maxWaitTimeInMs: options.maxWaitMs,
    minBytes: options.minBytes,
    maxBytes: options.maxBytes,
    maxBytesPerPartition: options.maxBytesPerPartition,
    readUncommitted: options.isolation === 'read_uncommitted',
    allowAutoTopicCreation: false,
    metadataMaxAge: metadataMaxAgeMs,
    retry: { initialRetryTime: 100, maxRetryTime: 1_000, retries: 60 },
  };
}

/** What a member of the group may do, with the errors of this folder instead of those of kafkajs. */
function memberOf(consumer: Consumer, group: string): Omit<GroupConsumer, keyof AsyncDisposable> {
  const asMember = (doing: string, work: () => void): void => {
    try {
      work();
    } catch (error) {
      throw translate(error, `${doing} in ${group}`);
    }
  };
  return {
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
        throw translate(error, `commit of ${group}`);
      }
    },
  };
}

/**
 * Four heartbeats per session, and at least one in 3 s, as in Kafka's own clients. The members learn of a rebalance by
 * their next heartbeat, so a joining member must not wait long for the others.
 */
export function heartbeatMsOf({
  sessionTimeoutMs,
  heartbeatMs = 3_000,
}: Pick<GroupConsumerOptions, 'sessionTimeoutMs' | 'heartbeatMs'>): number {
  return Math.min(heartbeatMs, Math.floor(sessionTimeoutMs / 4));
}

/** A member that sends no heartbeats while its work takes long would lose its partitions. */
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
    // It was told to end.
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

/**
 * `fetchedOffset` is a field of kafkajs' Batch that its types leave out. The messages of that Batch are record batches
 * (fetch-decoder.ts).
 */
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
