/**
 * CONTRACT: reads topic `hot-ads` from its beginning into a rule book, and follows it while it is open. When the consumer fails,
 * it is opened again and reads again from the beginning, which changes nothing in the book. Only a log that contradicts
 * the contract is not read any further: a person decides, and starts the process again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Corrupt, messageOf, UnknownFormat } from '../../infra/errors.ts';
import type { KafkaClient } from '../../infra/kafka/client.ts';
import {
  type FetchedBatch,
  type GroupConsumer,
  type GroupConsumerOptions,
  openGroupConsumer,
} from '../../infra/kafka/group-consumer.ts';
import { unknownFormats } from '../../infra/kafka/record-contract.ts';
import type { Logger } from '../../infra/log.ts';
import type { Names } from '../../infra/topics.ts';
import { createClickIdMint } from '../click-id.ts';
import type { RuleBook } from './rule-book.ts';

export interface RuleReaderDeps {
  readonly kafka: KafkaClient;
  readonly names: Names;
  readonly book: RuleBook;
  readonly log: Logger;
  /** Is called after each batch. */
  readonly onRead?: () => void;
}

export interface RuleReader extends AsyncDisposable {
  /** Continues with another consumer, because this one has become silent. */
  openAnew(): void;
}

export function followRules({ kafka, names, book, log, onRead }: RuleReaderDeps): RuleReader {
  const group = names.hotAdsGroup(createClickIdMint()(Date.now()));
  const topic = names.topic('hot-ads');
  const place = { reader: 'hot-ads', topic, partition: '0' };
  unknownFormats.set(place, 0);
  let closed = false;
  let ended = Promise.withResolvers<void>();

  const open = () =>
    openGroupConsumer(kafka, {
      ...consuming,
      group,
      topics: [topic],
      log,
      async onBatch(batch) {
        try {
          readInto(book, batch, log);
        } catch (error) {
          if (!(error instanceof Corrupt)) throw error;
          log.error({ why: error.message }, 'hot ads: the rules CANNOT be read, no click is taken');
          if (error instanceof UnknownFormat) unknownFormats.set(place, 1);
          closed = true;
          ended.resolve();
          return;
        }
        onRead?.();
      },
      onCrash: error => {
        log.warn({ why: error.message }, 'hot ads: the consumer ended');
        ended.resolve();
      },
    });

  const follow = async () => {
    while (!closed) {
      ended = Promise.withResolvers();
      let consumer: GroupConsumer | undefined;
      try {
        consumer = await open();
        if (!closed) await ended.promise;
      } catch (error) {
        log.warn({ why: messageOf(error) }, 'hot ads: not read yet');
      }
      await dispose(consumer);
      if (!closed) await sleep(pauseMs);
    }
  };
  const following = follow();
  return {
    openAnew: () => ended.resolve(),
    async [Symbol.asyncDispose]() {
      closed = true;
      ended.resolve();
      await following;
    },
  };
}

const fetchBytes = 1 << 20;
const pauseMs = 1_000;

/** Nobody waits for its place in a group of its own, so its session may be long. */
const consuming = {
  isolation: 'read_uncommitted',
  sessionTimeoutMs: 60_000,
  heartbeatMs: 15_000,
  rebalanceTimeoutMs: 20_000,
  maxWaitMs: 500,
  // Longer than from one tick to the next.
  firstByteWaitMs: 6_000,
  minBytes: 1,
  maxBytes: fetchBytes,
  maxBytesPerPartition: fetchBytes,
  concurrency: 1,
  keepsRecords: true,
  onOpen: () => {},
  onAssigned: () => {},
  onGap: () => {},
} as const satisfies Partial<GroupConsumerOptions>;

/** @throws Corrupt when the log contradicts the contract */
function readInto(book: RuleBook, batch: FetchedBatch, log: Logger): void {
  const { announced, tooLate, partitions } = book.read(batch);
  for (const rule of announced) log.info({ rule }, 'hot ad: split');
  for (const rule of tooLate) log.warn({ rule }, 'hot ad: announced too late, without effect');
  for (const { rule, holds } of partitions) {
    if (holds) log.info({ rule }, 'partitions: recorded');
    else log.warn({ rule }, 'partitions: announced too late or recorded before, without effect');
  }
}

async function dispose(consumer: GroupConsumer | undefined): Promise<void> {
  try {
    await consumer?.[Symbol.asyncDispose]();
  } catch {
    // The group forgets a consumer that could not leave it.
  }
}
