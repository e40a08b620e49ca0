/**
 * Follows topic `keys`, so that a process knows every API key and every change of one within moments.
 *
 * Until it has read what was in the topic when it began, and after a record that it cannot read, it says why no key can
 * be accepted. If Kafka fails later, it continues with the keys that it knows, because refusing all of them would lose
 * clicks.
 */
import { randomUUID } from 'node:crypto';
import type { KafkaClient } from '../kafka/client.ts';
import { followLog } from '../kafka/follow-log.ts';
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
  /** Reads the topic to its present end. @throws Retryable */
  readToEnd(): Promise<void>;
}

export interface KeyFollowerDeps {
  readonly kafka: KafkaClient;
  readonly names: Names;
  readonly log: Logger;
}

export function followKeys({ kafka, names, log }: KeyFollowerDeps): FollowedKeys {
  const book = new KeyBook();
  const follower = followLog({
    ...{ kafka, topic: names.topic('keys'), log },
    group: names.keysGroup(randomUUID()),
    reader: 'keys',
    what: 'API keys',
    withoutIt: 'and no key is accepted',
    onBatch({ records }) {
      // What was read before changes nothing, and a topic that was made anew begins with other records at 0.
      for (const record of records) book.take(record);
    },
  });
  const refusal = () => {
    if (follower.corrupt) return 'the API keys cannot be read';
    return follower.isCaughtUp ? undefined : 'the API keys are not read yet';
  };
  return {
    book,
    check: createKeyCheck(id => book.get(id)),
    checkSession: createSessionCheck(id => book.get(id)),
    refusal,
    async ready(stop) {
      while (!stop.aborted && refusal() !== undefined) {
        await pause(50, stop);
      }
    },
    readToEnd: follower.readToEnd,
    [Symbol.asyncDispose]: () => follower[Symbol.asyncDispose](),
  };
}
