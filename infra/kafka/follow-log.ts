/**
 * Reads a topic of one partition from its beginning, and follows it while it is open: rules and keys that every process
 * must know. When the consumer fails, it is opened again and reads again from the beginning, which must change nothing
 * for the reader. Only a log that contradicts its contract is not read any further: a person decides, and starts the
 * process again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Corrupt, messageOf, UnknownFormat } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { KafkaClient } from './client.ts';
import { type GroupConsumer, openGroupConsumer } from './group-consumer.ts';
import type { LogRecord } from './record-batch.ts';
import { unknownFormats } from './record-contract.ts';

export interface FollowedLog {
  readonly kafka: KafkaClient;
  /** Of this reader alone: each must read everything. */
  readonly group: string;
  readonly topic: string;
  /** The name in metrics. */
  readonly reader: string;
  /** The name in the log, and what follows if it cannot be read. */
  readonly what: string;
  readonly withoutIt: string;
  readonly log: Logger;
  /** @throws Corrupt, after which nothing more is read */
  onBatch(batch: ReadRecords): void;
}

/** The result of one fetch: the requested offset, the next offset to request, and the records between them. */
export interface ReadRecords {
  readonly fetchedOffset: number;
  readonly nextOffset: number;
  readonly records: Iterable<LogRecord>;
}

export interface LogFollower extends AsyncDisposable {
  /** Continues with another consumer, because this one has become silent. */
  openAnew(): void;
}

export function followLog(followed: FollowedLog): LogFollower {
  const { what, log } = followed;
  unknownFormats.set(placeOf(followed), 0);
  let closed = false;
  let ended = Promise.withResolvers<void>();
  const end = {
    forGood() {
      closed = true;
      ended.resolve();
    },
    once: () => ended.resolve(),
  };
  const follow = async () => {
    while (!closed) {
      ended = Promise.withResolvers();
      let consumer: GroupConsumer | undefined;
      try {
        consumer = await openConsumer(followed, end);
        if (!closed) await ended.promise;
      } catch (error) {
        log.warn({ why: messageOf(error) }, `${what}: not read yet`);
      }
      await dispose(consumer);
      if (!closed) await sleep(pauseMs);
    }
  };
  const following = follow();
  return {
    openAnew: end.once,
    async [Symbol.asyncDispose]() {
      end.forGood();
      await following;
    },
  };
}

function openConsumer(followed: FollowedLog, end: { forGood(): void; once(): void }): Promise<GroupConsumer> {
  const { kafka, group, topic, what, withoutIt, log } = followed;
  const read = (batch: ReadRecords) => {
    try {
      followed.onBatch(batch);
    } catch (error) {
      if (!(error instanceof Corrupt)) throw error;
      log.error({ why: error.message }, `${what} CANNOT be read, ${withoutIt}`);
      if (error instanceof UnknownFormat) unknownFormats.set(placeOf(followed), 1);
      end.forGood();
    }
  };
  return openGroupConsumer(kafka, {
    group,
    topics: [topic],
    isolation: 'read_uncommitted',
    // Nobody waits for its place in a group of its own.
    sessionTimeoutMs: 60_000,
    heartbeatMs: 15_000,
    rebalanceTimeoutMs: 20_000,
    maxWaitMs: 500,
    // Longer than from one tick of `hot-ads` to the next.
    firstByteWaitMs: 6_000,
    minBytes: 1,
    maxBytes: fetchBytes,
    maxBytesPerPartition: fetchBytes,
    concurrency: 1,
    keepsRecords: true,
    log,
    onOpen: () => {},
    onAssigned: () => {},
    onBatch: async batch => read(batch),
    // The end of a log is in a segment that is still being written, which is not compacted.
    onGap: () => {},
    onCrash(error) {
      log.warn({ why: error.message }, `${what}: the consumer ended`);
      end.once();
    },
  });
}

function placeOf({ reader, topic }: FollowedLog) {
  return { reader, topic, partition: '0' };
}

async function dispose(consumer: GroupConsumer | undefined): Promise<void> {
  try {
    await consumer?.[Symbol.asyncDispose]();
  } catch {
    // The group forgets a consumer that could not leave it.
  }
}

const fetchBytes = 1 << 20;
const pauseMs = 1_000;
