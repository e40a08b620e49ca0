/**
 * CONTRACT: reads a topic of one partition from its beginning, and follows it while it is open: rules and keys that every
 * process must know. What a user of it can rely on:
 * - `onBatch` is given every record, in order, a few at a time, and other work of the process has its turn in between. It
 *   may be given any of them again, because a consumer that has failed or become silent is replaced by one that reads
 *   from the beginning. A record that was read before must change nothing. The memory of a record is the user's to keep.
 * - Nothing is left out. A fetch that begins behind what was read, or an `onBatch` that throws `Corrupt`, ends the
 *   reading for good: `corrupt` says why, a person decides, and starts the process again. Where the records of a topic
 *   expire (`expires`), the first fetch of a consumer says where the log begins now. All of it may have expired, too: so
 *   a log is read when its beginning is reached, even if nothing was ever fetched.
 * - `isCaughtUp` becomes true once, when everything was read that was in the log when the brokers first said where it
 *   ends, and stays true. Whoever must not decide by half of a log waits for it. Neither a time nor an error makes it
 *   true, and an outage that comes later does not make it false: what to do then is the user's decision.
 * - A consumer that has become silent is noticed although nothing may be appended to the log for weeks: the end of the
 *   log is asked for every ten seconds, and the consumer is replaced after three looks in which it had something to
 *   read and did not move.
 */
import { setImmediate as othersTurn, setTimeout as sleep } from 'node:timers/promises';
import { Corrupt, messageOf, Retryable, UnknownFormat } from '../errors.ts';
import type { Logger } from '../log.ts';
import { pause } from '../pause.ts';
import type { KafkaClient } from './client.ts';
import { type GroupConsumer, openGroupConsumer } from './group-consumer.ts';
import { LogPosition } from './log-position.ts';
import { openRangeOfLog, type RangeOfLog } from './range-of-log.ts';
import { partsOf, type ReadRecords } from './read-parts.ts';
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
  /**
   * Whether records of the topic are removed after a time, after which they say nothing to anybody. Left out: they stay,
   * or later records replace them, and what is missing at the beginning is a gap.
   */
  readonly expires?: boolean;
  /** Is called for each part of a fetch (read-parts.ts). @throws Corrupt, after which nothing more is read */
  onBatch(batch: ReadRecords): void;
  /** Is called once, when `isCaughtUp` has become true. */
  onCaughtUp?(): void;
  /** How often the end of the log is asked for. */
  readonly lookEveryMs?: number;
}

export interface LogFollower extends AsyncDisposable {
  readonly isCaughtUp: boolean;
  /** Why nothing more is read, or undefined. */
  readonly corrupt: Corrupt | undefined;
  /** Resolves when `isCaughtUp`, or when `stop` has fired. */
  caughtUp(stop: AbortSignal): Promise<void>;
  /** Reads the log up to its present end. @throws Retryable when it cannot be read, or not within a few seconds */
  readToEnd(): Promise<void>;
}

/** Connects by itself as soon as the brokers are available. */
export function followLog(followed: FollowedLog): LogFollower {
  unknownFormats.set(placeOf(followed), 0);
  const range = openRangeOfLog(followed.kafka, followed.topic);
  const reading = new Reading(followed);
  const following = follow(followed, reading);
  const looking = lookAtEnd(followed, reading, range);
  return {
    get isCaughtUp() {
      return reading.position.isCaughtUp;
    },
    get corrupt() {
      return reading.corrupt;
    },
    async caughtUp(stop) {
      while (!stop.aborted && !reading.position.isCaughtUp) await pause(pollMs, stop);
    },
    async readToEnd() {
      const now = await range.read();
      reading.takeRange(now);
      await reading.until(now.end);
    },
    async [Symbol.asyncDispose]() {
      reading.close();
      const waiting = new AbortController();
      // It may be asking brokers that do not answer.
      await Promise.race([looking.then(() => range[Symbol.asyncDispose]()), pause(closeMs, waiting.signal)]);
      waiting.abort();
      await following;
    },
  };
}

/** How far a log is read, and whether to go on. */
class Reading {
  readonly position: LogPosition;
  readonly #followed: FollowedLog;
  readonly #closing = new AbortController();
  #corrupt: Corrupt | undefined;
  #wasCaughtUp = false;
  /** The next fetch is the first one since the consumer was given its place, which is the beginning of the log. */
  #isAtBeginning = true;
  #endConsumer = () => {};
  /** Whether there is a consumer that could read. One that takes long to join its group is not silent. */
  isOpen = false;

  constructor(followed: FollowedLog) {
    this.#followed = followed;
    this.position = new LogPosition(followed.topic);
  }

  get corrupt(): Corrupt | undefined {
    return this.#corrupt;
  }

  /** Fires when nothing more is to be read. */
  get closed(): AbortSignal {
    return this.#closing.signal;
  }

  /**
   * Gives way between parts. All of them are taken, also if the consumer gets its place anew meanwhile: it need not fetch
   * them again.
   */
  async take(batch: ReadRecords): Promise<void> {
    let isFirst = true;
    for (const part of partsOf(batch)) {
      if (!isFirst) await othersTurn();
      if (this.closed.aborted) return;
      this.#takePart(part, isFirst);
      isFirst = false;
    }
  }

  #takePart(batch: ReadRecords, isFirst: boolean): void {
    // A part behind the first one says nothing about the place that was given while it waited for its turn.
    const isAtBeginning = isFirst && this.#isAtBeginning;
    const { what, withoutIt, log } = this.#followed;
    try {
      this.#followed.onBatch(batch);
      if (isAtBeginning && this.#followed.expires) this.position.beginAt(batch.fetchedOffset);
      // Only now, so that a user with a state of its own for damage (rule-book.ts) has seen it too.
      this.position.checkFetch(batch.fetchedOffset);
    } catch (error) {
      if (!(error instanceof Corrupt)) throw error;
      log.error({ why: error.message }, `${what} CANNOT be read, ${withoutIt}`);
      if (error instanceof UnknownFormat) unknownFormats.set(placeOf(this.#followed), 1);
      this.#corrupt = error;
      this.close();
      return;
    }
    if (isFirst) this.#isAtBeginning = false;
    this.position.advance(batch.nextOffset);
    this.#tellCaughtUp();
  }

  takeRange({ start, end }: { readonly start: number; readonly end: number }): void {
    if (this.#followed.expires) this.position.beginAt(start);
    this.position.take(end);
    this.#tellCaughtUp();
  }

  /** A consumer without a committed offset begins at the first record that there is. */
  begin(): void {
    this.#isAtBeginning = true;
  }

  /** @throws Retryable */
  async until(end: number): Promise<void> {
    const { topic } = this.#followed;
    for (let waitedMs = 0; this.position.next < end; waitedMs += pollMs) {
      if (this.#corrupt) throw new Retryable(`topic ${topic} cannot be read`, { cause: this.#corrupt });
      if (waitedMs >= giveUpMs) throw new Retryable(`topic ${topic} is read up to ${this.position.next} of ${end}`);
      await sleep(pollMs);
    }
  }

  /** Resolves when the present consumer is to be closed. */
  consumerEnd(): Promise<void> {
    const ended = Promise.withResolvers<void>();
    this.#endConsumer = ended.resolve;
    return ended.promise;
  }

  endConsumer(): void {
    this.#endConsumer();
  }

  close(): void {
    this.#closing.abort();
    this.#endConsumer();
  }

  #tellCaughtUp(): void {
    if (this.#wasCaughtUp || !this.position.isCaughtUp) return;
    this.#wasCaughtUp = true;
    this.#followed.onCaughtUp?.();
  }
}

async function follow(followed: FollowedLog, reading: Reading): Promise<void> {
  const { what, log } = followed;
  while (!reading.closed.aborted) {
    const ended = reading.consumerEnd();
    let consumer: GroupConsumer | undefined;
    try {
      consumer = await openConsumer(followed, reading);
      reading.isOpen = true;
      if (!reading.closed.aborted) await ended;
    } catch (error) {
      log.warn({ why: messageOf(error) }, `${what}: not read yet`);
    }
    reading.isOpen = false;
    await dispose(consumer);
    if (!reading.closed.aborted) await sleep(pauseMs);
  }
}

async function lookAtEnd(followed: FollowedLog, reading: Reading, range: RangeOfLog): Promise<void> {
  const { what, log, lookEveryMs = 10_000 } = followed;
  while (!reading.closed.aborted) {
    try {
      const now = await range.read();
      reading.takeRange(now);
      if (reading.isOpen && reading.position.isSilentAt(now.end)) {
        log.warn(
          { end: now.end, position: reading.position.next },
          `${what}: nothing was read for a long time, so another consumer is opened`,
        );
        reading.endConsumer();
      }
    } catch (error) {
      log.debug({ why: messageOf(error) }, `${what}: the end of the log is not known`);
    }
    await pause(reading.position.isEndKnown ? lookEveryMs : firstLookEveryMs, reading.closed);
  }
}

function openConsumer(followed: FollowedLog, reading: Reading): Promise<GroupConsumer> {
  const { kafka, group, topic, what, log } = followed;
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
    onAssigned: () => reading.begin(),
    onBatch: batch => reading.take(batch),
    // The end of a log is in a segment that is still being written, which is not compacted.
    onGap: () => {},
    onCrash(error) {
      log.warn({ why: error.message }, `${what}: the consumer ended`);
      reading.endConsumer();
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
const pollMs = 50;
const giveUpMs = 5_000;
const firstLookEveryMs = 500;
const closeMs = 1_000;
