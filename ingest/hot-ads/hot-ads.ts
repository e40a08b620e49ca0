/**
 * Runs the hot ads of one ingest process: it follows the rules (rule-book.ts), routes by them, looks for ads that have
 * become hot, and announces them.
 *
 * The number of partitions over which it routes is one of the rules (partition-rule.ts), and never what the brokers say
 * about the topic. If nobody has recorded that number yet, this process records the number that it finds. While nothing
 * is announced, somebody must keep recording the time of the log: a process that finds that nothing was appended for
 * `tickIntervalMs` appends a tick, so all processes together append about one per interval.
 *
 * It writes nothing before it has read what is there, and nothing into a log that it considers damaged. So a process
 * with a different notice from the others excludes itself, instead of stopping them.
 *
 * It does not matter whether an announcement was acknowledged. A rule is what stands in the log, and the process reads
 * its own rules back like any others.
 */

import { messageOf, Retryable } from '../../infra/errors.ts';
import type { KafkaClient } from '../../infra/kafka/client.ts';
import type { OutgoingRecord } from '../../infra/kafka/outgoing-record.ts';
import { createProducer } from '../../infra/kafka/producer.ts';
import type { Logger } from '../../infra/log.ts';
import { gauge } from '../../infra/metrics.ts';
import { pause } from '../../infra/pause.ts';
import type { Names } from '../../infra/topics.ts';
import { limits } from '../click.ts';
import { createClickIdMint } from '../click-id.ts';
import type { SplitSettings } from './announcements.ts';
import { createHotAdLook, type HotAdLook, slotMs } from './hot-ad-look.ts';
import { type PartitionWatch, watchPartitions } from './partition-watch.ts';
import { type ClickTime, ReceiptClock } from './receipt-clock.ts';
import { type HotAdTerms, partitionsRecord, type RoutedClick, tickRecord } from './rule.ts';
import { RuleBook } from './rule-book.ts';
import { followRules } from './rule-reader.ts';

export interface HotAdsDeps {
  readonly kafka: KafkaClient;
  readonly names: Names;
  readonly log: Logger;
  /** When it is undefined, this process announces nothing, but it still follows what others announce. */
  readonly split: SplitSettings | undefined;
  readonly timeoutMs: number;
  readonly terms: HotAdTerms;
}

export interface HotAds extends AsyncDisposable {
  /**
   * Returns the partition of `clicks`. `client` has posted the click. @throws Retryable when the rules for the click's
   * minute are not known yet
   */
  partitionFor(click: RoutedClick, client: string): number;
  /** The time of receipt of clicks. */
  readonly time: ClickTime;
  /** Throws unless every click that ingest may accept can be routed. */
  check(): void;
  /** Throws unless the topics have the recorded number of partitions. */
  checkPartitions(): void;
  /** Resolves when clicks of the present can be routed, or when `stop` has fired. */
  ready(stop: AbortSignal): Promise<void>;
}

const tickIntervalMs = 5_000;

export function openHotAds(deps: HotAdsDeps): HotAds {
  const { kafka, names, log, split, timeoutMs, terms } = deps;
  const closing = new AbortController();
  const rules = readRules(deps);
  const { book, watch, time } = rules;
  const mint = createClickIdMint();
  const newId = () => mint(Date.now());
  const look = createHotAdLook({ book, split, terms, log, newId });
  const producer = createProducer(kafka, { acks: -1, timeoutMs });
  const send = async (records: readonly OutgoingRecord[]) => {
    try {
      await producer.send(names.topic('hot-ads'), records);
    } catch (error) {
      log.warn({ why: messageOf(error) }, 'hot ads: not appended');
    }
  };
  const keeping = keepTime({ rules, look, send, newId, terms, log, stop: closing.signal });

  return {
    partitionFor(click, client) {
      look.see(click.adId, client);
      if (watch.difference !== undefined) throw new Retryable(watch.difference);
      return book.partitionFor(click);
    },
    time,
    checkPartitions: () => checkAgreement(watch),
    check() {
      const noticeMs = terms.noticeMs - terms.brokerSkewMs - 2 * tickIntervalMs;
      const refusal = book.refusal(time.now() + Math.min(limits.maxAheadMs, noticeMs));
      if (refusal) throw refusal;
    },
    async ready(stop) {
      while (!stop.aborted && (book.refusal(time.now()) || !watch.isJudged)) {
        await pause(50, stop);
      }
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      await keeping;
      await rules[Symbol.asyncDispose]();
      await producer[Symbol.asyncDispose]();
    },
  };
}

/** The rules as they stand in the log, and whether the topics agree with them. */
interface Rules extends AsyncDisposable {
  readonly book: RuleBook;
  readonly watch: PartitionWatch;
  readonly time: ClickTime;
  /** When something was read last, on the monotonic clock. */
  readonly readAtMs: number;
  /** Resolves when everything was read that was in the log when this process began, or when `stop` has fired. */
  caughtUp(stop: AbortSignal): Promise<void>;
}

function readRules({ kafka, names, log, terms }: HotAdsDeps): Rules {
  const book = new RuleBook(terms);
  const time = new ReceiptClock();
  let readAtMs = Number.NEGATIVE_INFINITY;
  const watch = watchPartitions({
    ...{ kafka, names, log },
    recorded: () => book.partitions,
    isRead: () => reader.isCaughtUp,
  });
  const reader = followRules({
    ...{ kafka, names, book, log },
    onRead() {
      readAtMs = performance.now();
      watch.compare();
      if (reader.isCaughtUp) time.heard(book.newestAppendedAt);
      knownAhead.set((book.knownUntil - time.now()) / 1_000);
      splitAds.set(new Set(book.rules.filter(rule => rule.until > book.lastAppendedAt).map(rule => rule.adId)).size);
    },
    onCaughtUp: () => watch.compare(),
  });
  return {
    book,
    watch,
    time,
    get readAtMs() {
      return readAtMs;
    },
    caughtUp: reader.caughtUp,
    async [Symbol.asyncDispose]() {
      await reader[Symbol.asyncDispose]();
      await watch[Symbol.asyncDispose]();
    },
  };
}

interface Keeping {
  readonly rules: Rules;
  readonly look: HotAdLook;
  /** Never rejects. */
  readonly send: (records: readonly OutgoingRecord[]) => Promise<void>;
  readonly newId: () => string;
  readonly terms: HotAdTerms;
  readonly log: Logger;
  readonly stop: AbortSignal;
}

/** Writes, when its time has come: the number of partitions, the time of the log, and what is hot. */
async function keepTime(keeping: Keeping): Promise<void> {
  const { rules, look, send, terms, stop } = keeping;
  const { book, watch } = rules;
  await rules.caughtUp(stop);
  let recordedAtMs = Number.NEGATIVE_INFINITY;
  let lookedAtMs = performance.now();
  let tickedAtMs = Number.NEGATIVE_INFINITY;
  while (!stop.aborted && !book.isCorrupt) {
    const now = performance.now();
    const isUnrecorded = book.partitions === undefined && watch.isJudged;
    if (isUnrecorded && now - recordedAtMs >= tickIntervalMs) {
      recordedAtMs = now;
      await recordPartitions(keeping);
    }
    if (now - rules.readAtMs >= tickIntervalMs && now - tickedAtMs >= tickIntervalMs) {
      await send([tickRecord(terms)]);
      tickedAtMs = now;
    }
    if (now - lookedAtMs >= slotMs) {
      lookedAtMs = now;
      const records = look.turn(performance.now() - rules.readAtMs);
      if (records.length > 0) await send(records);
    }
    // The processes do not do this at the same moment, so the tick of one makes those of the others unnecessary.
    const pauseMs = (book.partitions === undefined ? 100 : tickIntervalMs / 5) * (0.5 + Math.random());
    await pause(pauseMs, stop);
  }
}

/** When two processes start at once, the second record has no effect, because both read the first. */
async function recordPartitions({ rules: { watch }, send, newId, terms, log }: Keeping): Promise<void> {
  const partitions = watch.difference === undefined ? watch.counts?.get('clicks') : undefined;
  if (partitions === undefined) return;
  log.info({ partitions }, 'partitions: no number is recorded yet, so the existing number is recorded');
  await send([partitionsRecord({ ruleId: newId(), from: 0, partitions }, terms)]);
}

function checkAgreement({ isJudged, difference }: PartitionWatch): void {
  if (!isJudged)
    throw new Error('partitions: the topics and the record of their partitions (topic hot-ads) have not been read yet');
  if (difference !== undefined) throw new Error(difference);
}

const splitAds = gauge('hot_ads', 'Ads that are split over the partitions now, or will be soon');
const knownAhead = gauge(
  'hot_ads_known_ahead_seconds',
  'How many seconds into the future the split rules are known. Below 300, clicks dated in the future are refused; below 0, all clicks are refused',
);
