/**
 * CONTRACT: follows topic `hot-ads` and the real topics, so that processes which count, store or answer know the recorded number
 * of partitions. An ingest process, which also routes, has the same in hot-ads.ts.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, Retryable } from '../../infra/errors.ts';
import { type Admin, openAdmin } from '../../infra/kafka/admin.ts';
import type { KafkaClient } from '../../infra/kafka/client.ts';
import { createProducer } from '../../infra/kafka/producer.ts';
import type { Logger } from '../../infra/log.ts';
import { pause } from '../../infra/pause.ts';
import type { Names } from '../../infra/topics.ts';
import type { TopicCounts } from './partition-comparison.ts';
import { watchPartitions } from './partition-watch.ts';
import { type HotAdTerms, tickRecord } from './rule.ts';
import { RuleBook } from './rule-book.ts';
import { followRules } from './rule-reader.ts';

export interface PartitionRecordDeps {
  readonly kafka: KafkaClient;
  readonly names: Names;
  readonly terms: HotAdTerms;
  readonly log: Logger;
  /**
   * Appends a tick when nothing was appended for long. While no ingest process runs, final counts still depend on
   * knowing that nothing was announced.
   */
  readonly keepsTime?: boolean;
}

export interface PartitionRecord extends AsyncDisposable {
  readonly book: RuleBook;
  readonly counts: TopicCounts | undefined;
  /**
   * Returns over how many partitions clicks up to this event time may be spread. What is final up to then must be final
   * in each of them. Returns `unknownPartitions` when the number cannot be known. An answer for a time never changes.
   */
  partitionsAt(eventTime: number): number;
  /** Throws when topics and record are known to differ, so that a person must look. */
  check(): void;
  /** Throws then too, and also when one of them is not known yet. */
  checkKnown(): void;
  /** Throws then too, and also when the record cannot be read any more, so that nothing becomes final. */
  checkReadable(): void;
  /** Resolves when `checkKnown` does not throw, or when `stop` has fired. */
  ready(stop: AbortSignal): Promise<void>;
  /** Reads the log up to its current end. @throws Retryable */
  readToEnd(): Promise<void>;
}

/** More than any topic has, so that nothing is final. */
export const unknownPartitions = 65_535;

/** Connects by itself as soon as the brokers are available. */
export function followPartitions({
  kafka,
  names,
  terms,
  log,
  keepsTime = false,
}: PartitionRecordDeps): PartitionRecord {
  const book = new RuleBook(terms);
  let wasRead = false;
  const watch = watchPartitions({ kafka, names, log, recorded: () => book.partitions, isRead: () => wasRead });
  let readAtMs = performance.now();
  const reader = followRules({
    ...{ kafka, names, book, log },
    onRead() {
      readAtMs = performance.now();
      watch.compare();
    },
  });
  const closing = new AbortController();
  const keepTime = async () => {
    await using producer = createProducer(kafka, { acks: -1, timeoutMs: 5_000 });
    while (!closing.signal.aborted) {
      if (book.partitions !== undefined && !book.isCorrupt && performance.now() - readAtMs >= silentMs) {
        readAtMs = performance.now();
        await producer.send(names.topic('hot-ads'), [tickRecord(terms)]).catch(error => {
          log.warn({ why: messageOf(error) }, 'hot ads: not appended');
        });
      }
      // The processes do not do this at the same moment.
      const pauseMs = 1_000 * (0.5 + Math.random());
      await pause(pauseMs, closing.signal);
    }
  };
  const keeping = keepsTime ? keepTime() : Promise.resolve();

  let admin: Promise<Admin> | undefined;
  const forget = async () => {
    const open = admin;
    admin = undefined;
    await open?.then(connected => connected[Symbol.asyncDispose]()).catch(() => undefined);
  };
  const endOfLog = async () => {
    admin ??= openAdmin(kafka);
    try {
      return (await (await admin).endOffsets(names.topic('hot-ads'))).get(0) ?? 0;
    } catch (error) {
      await forget();
      throw error;
    }
  };
  const readToEnd = async () => {
    const end = await endOfLog();
    for (let waitedMs = 0; book.position < end; waitedMs += 50) {
      if (book.isCorrupt) throw new Retryable('topic hot-ads cannot be read');
      if (waitedMs >= giveUpMs) throw new Retryable(`topic hot-ads is read up to ${book.position} of ${end}`);
      await sleep(50);
    }
    wasRead = true;
    watch.compare();
  };
  const check = () => {
    if (watch.difference !== undefined) throw new Error(watch.difference);
  };
  const checkKnown = () => {
    check();
    // A record that cannot be read any more stops nobody from counting and storing, but nothing becomes final.
    if (watch.counts === undefined || !(watch.isJudged || book.isCorrupt))
      throw new Error('partitions: topics and record (topic hot-ads) are not read yet');
  };
  const isKnown = () => {
    try {
      checkKnown();
      return true;
    } catch {
      return false;
    }
  };
  return {
    book,
    get counts() {
      return watch.counts;
    },
    partitionsAt(eventTime) {
      // Before the first ingest process records the number, it is the number of existing partitions, as in earlier
      // releases.
      if (wasRead && !book.isCorrupt && book.partitions === undefined)
        return watch.counts?.get('clicks') ?? unknownPartitions;
      return book.partitionsAt(eventTime) ?? unknownPartitions;
    },
    check,
    checkKnown,
    checkReadable() {
      checkKnown();
      if (book.isCorrupt) throw new Error(book.refusal(Date.now())?.message);
    },
    async ready(stop) {
      while (!stop.aborted && !isKnown()) {
        if (!wasRead && !book.isCorrupt) await readToEnd().catch(() => undefined);
        await pause(100, stop);
      }
    },
    readToEnd,
    async [Symbol.asyncDispose]() {
      closing.abort();
      await keeping;
      await forget();
      await reader[Symbol.asyncDispose]();
      await watch[Symbol.asyncDispose]();
    },
  };
}

const giveUpMs = 5_000;
/** Ingest processes append a tick earlier than this. */
const silentMs = 10_000;
