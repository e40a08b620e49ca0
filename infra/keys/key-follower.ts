/**
 * Follows topic `keys`, so that a process knows every API key and every change of one within moments.
 *
 * Until it has read what was in the topic when it began, and after a record that it cannot read, it says why no key can
 * be accepted. If Kafka fails later, it continues with the keys that it knows, because refusing all of them would lose
 * clicks.
 */
import { randomUUID } from 'node:crypto';
import { Corrupt, messageOf } from '../errors.ts';
import { type Admin, openAdmin } from '../kafka/admin.ts';
import type { KafkaClient } from '../kafka/client.ts';
import { followLog, type ReadRecords } from '../kafka/follow-log.ts';
import type { Logger } from '../log.ts';
import { pause } from '../pause.ts';
import type { Names } from '../topics.ts';
import { KeyBook } from './key-book.ts';
import { createKeyCheck } from './key-check.ts';
import type { KnownKeys } from './key-gate.ts';
import { createSessionCheck } from './session-check.ts';

export interface FollowedKeys extends KnownKeys, AsyncDisposable {
  readonly book: KeyBook;
  /** Resolves when everything was read that was there at first, or when `stop` has fired. */
  ready(stop: AbortSignal): Promise<void>;
}

export interface KeyFollowerDeps {
  readonly kafka: KafkaClient;
  readonly names: Names;
  readonly log: Logger;
}

export function followKeys({ kafka, names, log }: KeyFollowerDeps): FollowedKeys {
  const reading = new KeyReading();
  const topic = names.topic('keys');
  const follower = followLog({
    ...{ kafka, topic, log },
    group: names.keysGroup(randomUUID()),
    reader: 'keys',
    what: 'API keys',
    withoutIt: 'and no key is accepted',
    onBatch: batch => reading.take(batch),
  });
  const closing = new AbortController();
  const watching = watchEnd({ kafka, topic, reading, log, stop: closing.signal, openAnew: follower.openAnew });
  return {
    book: reading.book,
    check: createKeyCheck(id => reading.book.get(id)),
    checkSession: createSessionCheck(id => reading.book.get(id)),
    refusal: () => reading.refusal,
    async ready(stop) {
      while (!stop.aborted && reading.refusal !== undefined) {
        await pause(50, stop);
      }
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      // It may be asking brokers that do not answer.
      await Promise.race([watching, pause(closeMs)]);
      await follower[Symbol.asyncDispose]();
    },
  };
}

/** How far the topic is read. */
class KeyReading {
  readonly book = new KeyBook();
  position = 0;
  /** The end of the topic when the process began, or undefined while it is not known. */
  endAtFirst: number | undefined;
  #corrupt: Corrupt | undefined;

  take({ fetchedOffset, nextOffset, records }: ReadRecords): void {
    try {
      if (fetchedOffset > this.position)
        throw new Corrupt(
          `topic keys was read up to offset ${this.position} and goes on at ${fetchedOffset}: what lies between is unknown`,
        );
      // What was read before changes nothing, and a topic that was made anew begins with other records at 0.
      for (const record of records) this.book.take(record);
      this.position = Math.max(this.position, nextOffset);
    } catch (error) {
      if (error instanceof Corrupt) this.#corrupt = error;
      throw error;
    }
  }

  /** Why nobody can be let in, or undefined. */
  get refusal(): string | undefined {
    if (this.#corrupt !== undefined) return 'the API keys cannot be read';
    const isRead = this.endAtFirst !== undefined && this.position >= this.endAtFirst;
    return isRead ? undefined : 'the API keys are not read yet';
  }
}

interface EndWatch extends Omit<KeyFollowerDeps, 'names'> {
  readonly topic: string;
  readonly reading: KeyReading;
  readonly stop: AbortSignal;
  openAnew(): void;
}

/**
 * Asks where the topic ends: at first, to know when all of it is read, and now and then, because nothing is written to it
 * for weeks, and so a consumer that has become silent would not be noticed by its silence.
 */
async function watchEnd({ kafka, topic, reading, log, stop, openAnew }: EndWatch): Promise<void> {
  let admin: Admin | undefined;
  let before = { position: 0, at: performance.now() };
  while (!stop.aborted) {
    try {
      admin ??= await openAdmin(kafka);
      const end = (await admin.endOffsets(topic)).get(0) ?? 0;
      reading.endAtFirst ??= end;
      const now = performance.now();
      if (reading.position >= end || reading.position > before.position)
        before = { position: reading.position, at: now };
      if (now - before.at >= silentMs) {
        log.warn({ end, position: reading.position }, 'API keys: nothing read for long, with another consumer now');
        before = { position: reading.position, at: now };
        openAnew();
      }
    } catch (error) {
      log.debug({ why: messageOf(error) }, 'API keys: end of the topic not known');
      await close(admin);
      admin = undefined;
    }
    await pause(reading.endAtFirst === undefined ? 500 : lookEveryMs, stop);
  }
  await close(admin);
}

async function close(admin: Admin | undefined): Promise<void> {
  try {
    await admin?.[Symbol.asyncDispose]();
  } catch {
    // Its connection was lost.
  }
}

const lookEveryMs = 10_000;
const silentMs = 30_000;
const closeMs = 1_000;
