/**
 * CONTRACT: follows topic `hot-ads` and the real topics, so that processes which count, store or answer know the recorded number
 * of partitions. An ingest process, which also routes, has the same in hot-ads.ts.
 */

import { messageOf } from '../../infra/errors.ts';
import type { KafkaClient } from '../../infra/kafka/client.ts';
import { createProducer } from '../../infra/kafka/producer.ts';
import type { Logger } from '../../infra/log.ts';
import { pause } from '../../infra/pause.ts';
import type { Names } from '../../infra/topics.ts';
import type { TopicCounts } from './partition-comparison.ts';
import { type PartitionWatch, watchPartitions } from './partition-watch.ts';
import { type HotAdTerms, tickRecord } from './rule.ts';
import { RuleBook } from './rule-book.ts';
import { followRules } from './rule-reader.ts';

export interface PartitionRecordDeps {
  readonly kafka: KafkaClient;
  readonly names: Names;
  readonly terms: HotAdTerms;
  readonly log: Logger;
  /**
   * Appends a tick when nothing was appended for long, or ever. While no ingest process runs, counts still depend on
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
  const watch = watchPartitions({
    ...{ kafka, names, log },
    recorded: () => book.partitions,
    isRead: () => reader.isCaughtUp,
  });
  const reader = followRules({
    ...{ kafka, names, book, log },
    onRead() {
      clock?.onRead();
      watch.compare();
    },
    onCaughtUp: () => watch.compare(),
  });
  const clock = keepsTime ? keepTime({ kafka, names, terms, log, book, isRead: () => reader.isCaughtUp }) : undefined;
  const checks = checksOf(watch, book);
  return {
    book,
    get counts() {
      return watch.counts;
    },
    partitionsAt(eventTime) {
      // Before the first ingest process records the number, it is the number of existing partitions, as in earlier
      // releases.
      if (reader.isCaughtUp && !book.isCorrupt && book.partitions === undefined)
        return watch.counts?.get('clicks') ?? unknownPartitions;
      return book.partitionsAt(eventTime) ?? unknownPartitions;
    },
    ...checks,
    async ready(stop) {
      while (!stop.aborted && !passes(checks.checkKnown)) await pause(100, stop);
    },
    readToEnd: reader.readToEnd,
    async [Symbol.asyncDispose]() {
      await clock?.[Symbol.asyncDispose]();
      await reader[Symbol.asyncDispose]();
      await watch[Symbol.asyncDispose]();
    },
  };
}

function checksOf(
  watch: PartitionWatch,
  book: RuleBook,
): Pick<PartitionRecord, 'check' | 'checkKnown' | 'checkReadable'> {
  const check = () => {
    if (watch.difference !== undefined) throw new Error(watch.difference);
  };
  const checkKnown = () => {
    check();
    // A record that cannot be read any more stops nobody from counting and storing, but nothing becomes final.
    if (watch.counts === undefined || !(watch.isJudged || book.isCorrupt))
      throw new Error(
        'partitions: the topics and the record of their partitions (topic hot-ads) have not been read yet',
      );
  };
  const checkReadable = () => {
    checkKnown();
    if (book.isCorrupt) throw new Error(book.refusal(Date.now())?.message);
  };
  return { check, checkKnown, checkReadable };
}

function passes(check: () => void): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}

/** Appends a tick whenever nothing was read for a while. */
function keepTime({
  kafka,
  names,
  terms,
  log,
  book,
  isRead,
}: PartitionRecordDeps & { readonly book: RuleBook; readonly isRead: () => boolean }) {
  const closing = new AbortController();
  let readAtMs = performance.now();
  let isBegun = false;
  /** The first tick of a log says that there are no rules, so that whoever must know them does not wait. */
  const mustBegin = () => !isBegun && isRead() && book.position === 0;
  const isSilent = () => isRead() && performance.now() - readAtMs >= silentMs;
  const keep = async () => {
    await using producer = createProducer(kafka, { acks: -1, timeoutMs: 5_000 });
    while (!closing.signal.aborted) {
      if (!book.isCorrupt && (mustBegin() || isSilent())) {
        isBegun = true;
        readAtMs = performance.now();
        await producer.send(names.topic('hot-ads'), [tickRecord(terms)]).catch(error => {
          log.warn({ why: messageOf(error) }, 'hot ads: not appended');
        });
      }
      // The processes do not do this at the same moment.
      await pause((isRead() ? 1_000 : 100) * (0.5 + Math.random()), closing.signal);
    }
  };
  const keeping = keep();
  return {
    onRead() {
      readAtMs = performance.now();
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      await keeping;
    },
  };
}

/** Ingest processes append a tick earlier than this. */
const silentMs = 10_000;
