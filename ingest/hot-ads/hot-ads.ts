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

import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, Retryable } from '../../infra/errors.ts';
import { openAdmin } from '../../infra/kafka/admin.ts';
import type { KafkaClient } from '../../infra/kafka/client.ts';
import type { OutgoingRecord } from '../../infra/kafka/outgoing-record.ts';
import { createProducer } from '../../infra/kafka/producer.ts';
import type { Logger } from '../../infra/log.ts';
import { counter, gauge } from '../../infra/metrics.ts';
import { pause } from '../../infra/pause.ts';
import { retrying } from '../../infra/retry.ts';
import type { Names } from '../../infra/topics.ts';
import { limits } from '../click.ts';
import { createClickIdMint } from '../click-id.ts';
import { isHot, isOfMany, type SplitSettings, splitsToAnnounce } from './announcements.ts';
import { HotAdDetector } from './detector.ts';
import { HotLooks } from './hot-looks.ts';
import { type PartitionWatch, watchPartitions } from './partition-watch.ts';
import { expiredRecord, type HotAdTerms, partitionsRecord, type RoutedClick, ruleRecord, tickRecord } from './rule.ts';
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
  /** Throws unless every click that ingest may accept can be routed. */
  check(): void;
  /** Throws unless the topics have the recorded number of partitions. */
  checkPartitions(): void;
  /** Resolves when clicks of the present can be routed, or when `stop` has fired. */
  ready(stop: AbortSignal): Promise<void>;
}

const tickIntervalMs = 5_000;
/** The step of the detector's sliding minute, and the time between two looks at what is hot. */
const slotMs = 10_000;
/** The time for the way of an announcement to the broker. */
const slackMs = 10_000;

export function openHotAds(deps: HotAdsDeps): HotAds {
  const { kafka, names, log, split, timeoutMs, terms } = deps;
  const book = new RuleBook(terms);
  const detector = new HotAdDetector({ slotMs, random: Math.random });
  const hotLooks = new HotLooks({ minutes: split?.minutes ?? 0, slotMs });
  const producer = createProducer(kafka, { acks: -1, timeoutMs });
  const mint = createClickIdMint();
  const closing = new AbortController();
  let readAtMs = Number.NEGATIVE_INFINITY;
  /** The end of the log when this process began, or undefined while it is not known. */
  let endAtFirst: number | undefined;
  const wasRead = () => endAtFirst !== undefined && book.position >= endAtFirst;
  const watch = watchPartitions({ kafka, names, log, recorded: () => book.partitions, isRead: wasRead });
  const reader = followRules({
    ...{ kafka, names, book, log },
    onRead() {
      readAtMs = performance.now();
      watch.compare();
      knownAhead.set((book.knownUntil - Date.now()) / 1_000);
      splitAds.set(new Set(book.rules.filter(rule => rule.until > book.lastAppendedAt).map(rule => rule.adId)).size);
    },
  });

  const send = async (records: readonly OutgoingRecord[]) => {
    try {
      await producer.send(names.topic('hot-ads'), records);
    } catch (error) {
      log.warn({ why: messageOf(error) }, 'hot ads: not appended');
    }
  };
  let heldBack = 0;
  const tellHeldBack = (adIds: readonly string[]) => {
    heldBackAds.set(adIds.length);
    if (heldBack === 0 && adIds.length > 0) {
      log.warn(
        { ad: adIds[0], clients: split?.clients },
        'hot ad: not split, too few clients post its clicks (HOT_AD_CLIENTS)',
      );
    }
    heldBack = adIds.length;
  };
  const look = async () => {
    const readings = detector.turn();
    // Before anything was read, the broker's time is not known.
    if (split === undefined || book.position === 0) return;
    const now = book.lastAppendedAt + (performance.now() - readAtMs);
    const hot = readings.filter(reading => isHot(reading, split));
    const ofMany = hot.filter(reading => isOfMany(reading, split));
    tellHeldBack(hot.filter(reading => !ofMany.includes(reading)).map(({ adId }) => adId));
    const lasting = hotLooks.take(ofMany.map(({ adId }) => adId));
    const announcing = { rules: book.rules, rulesKept: book.size, lasting, now, terms, slackMs };
    const rules = splitsToAnnounce(readings, split, announcing).map(rule => ({ ruleId: mint(Date.now()), ...rule }));
    announcements.inc(rules.length);
    const expired = book.expired().slice(0, mostGivenUp);
    const records = [...rules.map(rule => ruleRecord(rule, terms)), ...expired.map(rule => expiredRecord(rule, terms))];
    if (records.length > 0) await send(records);
  };
  /** When two processes start at once, the second record has no effect, because both read the first. */
  const recordPartitions = async () => {
    const partitions = watch.difference === undefined ? watch.counts?.get('clicks') : undefined;
    if (partitions === undefined) return;
    log.info({ partitions }, 'partitions: none are recorded, so those there are');
    await send([partitionsRecord({ ruleId: mint(Date.now()), from: 0, partitions }, terms)]);
  };
  const readWhatIsThere = async () => {
    endAtFirst = await retrying('end of hot-ads', log, closing.signal, async () => {
      await using admin = await openAdmin(kafka);
      return (await admin.endOffsets(names.topic('hot-ads'))).get(0) ?? 0;
    });
    for (let waitedMs = 0; !wasRead() && waitedMs < silentMs && !closing.signal.aborted; waitedMs += 50) {
      await sleep(50);
    }
    watch.compare();
  };
  const keepTime = async () => {
    await readWhatIsThere().catch(error => log.warn({ why: messageOf(error) }, 'hot ads: end of the log not known'));
    let recordedAtMs = Number.NEGATIVE_INFINITY;
    let lookedAtMs = performance.now();
    let openedAtMs = lookedAtMs;
    let tickedAtMs = Number.NEGATIVE_INFINITY;
    while (!closing.signal.aborted && !book.isCorrupt) {
      const now = performance.now();
      const isUnrecorded = book.partitions === undefined && wasRead() && watch.isJudged;
      if (isUnrecorded && now - recordedAtMs >= tickIntervalMs) {
        recordedAtMs = now;
        await recordPartitions();
      }
      if (now - readAtMs >= tickIntervalMs && now - tickedAtMs >= tickIntervalMs) {
        await send([tickRecord(terms)]);
        tickedAtMs = now;
      }
      if (now - Math.max(readAtMs, openedAtMs) >= silentMs) {
        log.warn({ silentMs }, 'hot ads: nothing read for long, with another consumer now');
        openedAtMs = now;
        reader.openAnew();
      }
      if (now - lookedAtMs >= slotMs) {
        lookedAtMs = now;
        await look();
      }
      // The processes do not do this at the same moment, so the tick of one makes those of the others unnecessary.
      const pauseMs = (book.partitions === undefined ? 100 : tickIntervalMs / 5) * (0.5 + Math.random());
      await pause(pauseMs, closing.signal);
    }
  };
  const keeping = keepTime();

  return {
    partitionFor(click, client) {
      detector.see(click.adId, client);
      if (watch.difference !== undefined) throw new Retryable(watch.difference);
      return book.partitionFor(click);
    },
    checkPartitions: () => checkAgreement(watch),
    check() {
      const noticeMs = terms.noticeMs - terms.brokerSkewMs - 2 * tickIntervalMs;
      const refusal = book.refusal(Date.now() + Math.min(limits.maxAheadMs, noticeMs));
      if (refusal) throw refusal;
    },
    async ready(stop) {
      while (!stop.aborted && (book.refusal(Date.now()) || !watch.isJudged)) {
        await pause(50, stop);
      }
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      await keeping;
      await reader[Symbol.asyncDispose]();
      await watch[Symbol.asyncDispose]();
      await producer[Symbol.asyncDispose]();
    },
  };
}

function checkAgreement({ isJudged, difference }: PartitionWatch): void {
  if (!isJudged) throw new Error('partitions: topics and record (topic hot-ads) are not read yet');
  if (difference !== undefined) throw new Error(difference);
}

/** Four ticks were appended in this time, by this process or others, and none was read. */
const silentMs = 30_000;
const mostGivenUp = 100;

const announcements = counter('hot_ad_announcements_total', 'Rules that this process has announced');
const heldBackAds = gauge(
  'hot_ads_held_back',
  'Ads as hot as those that are split, but by the clicks of too few clients',
);
const splitAds = gauge('hot_ads', 'Ads that are split over the partitions, or will be');
const knownAhead = gauge(
  'hot_ads_known_ahead_seconds',
  'How far ahead of now the rules are known; below 300, clicks that are dated ahead are refused, below 0 all',
);
