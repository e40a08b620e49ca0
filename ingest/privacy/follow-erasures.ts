/** CONTRACT: follows topic `erasures`, so that a process knows every erasure within moments. */
import { randomUUID } from 'node:crypto';
import { messageOf } from '../../infra/errors.ts';
import type { KafkaClient } from '../../infra/kafka/client.ts';
import { followLog } from '../../infra/kafka/follow-log.ts';
import type { Logger } from '../../infra/log.ts';
import { repeatedly } from '../../infra/repeatedly.ts';
import type { Names } from '../../infra/topics.ts';
import { ErasureBook } from './erasure-book.ts';
import { readErasure } from './erasure-record.ts';

export interface FollowedErasures extends AsyncDisposable {
  readonly book: ErasureBook;
  /**
   * Throws unless everything is known that was in the topic `staleAfterMs` ago. Rows of old clicks must not be inserted
   * then, because they may be those of somebody who was erased meanwhile.
   */
  check(): void;
  /** Resolves when everything was read that was there at first, or when `stop` has fired. */
  ready(stop: AbortSignal): Promise<void>;
  /** Reads the topic to its present end. @throws Retryable */
  readToEnd(): Promise<void>;
}

export interface ErasureFollowerDeps {
  readonly kafka: KafkaClient;
  readonly names: Names;
  readonly log: Logger;
}

/** A process that has not heard from the topic for longer inserts nothing. */
const staleAfterMs = 30_000;
const lookEveryMs = 10_000;

export function followErasures({ kafka, names, log }: ErasureFollowerDeps): FollowedErasures {
  const topic = names.topic('erasures');
  const book = new ErasureBook();
  const follower = followLog({
    ...{ kafka, topic, log },
    group: names.erasuresGroup(randomUUID()),
    reader: 'erasures',
    what: 'erasures of persons',
    withoutIt: 'and no rows are inserted',
    // When an erasure expires, nothing is left that it could find.
    expires: true,
    onBatch({ records }) {
      for (const record of records) book.take(readErasure(topic, record));
    },
  });
  let knownAt = Number.NEGATIVE_INFINITY;
  const readToEnd = async () => {
    const asked = performance.now();
    await follower.readToEnd();
    knownAt = Math.max(knownAt, asked);
  };
  const looking = repeatedly(async () => {
    await readToEnd().catch(error => log.debug({ why: messageOf(error) }, 'erasures: not read to the end'));
    return lookEveryMs;
  });
  return {
    book,
    check() {
      if (follower.corrupt) throw new Error(`topic ${topic} cannot be read: ${follower.corrupt.message}`);
      if (performance.now() - knownAt > staleAfterMs)
        throw new Error(`topic ${topic}: what was appended in the last ${staleAfterMs / 1_000} s is not known`);
    },
    async ready(stop) {
      await follower.caughtUp(stop);
    },
    readToEnd,
    async [Symbol.asyncDispose]() {
      await looking[Symbol.asyncDispose]();
      await follower[Symbol.asyncDispose]();
    },
  };
}
