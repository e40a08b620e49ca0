/**
 * Topic `hot-ads` of a simulation, and who reads it: two ingest processes, which route by what they know, and every
 * aggregator. Each knows the log up to some time ago, and how long ago changes; nobody knows what stands behind that.
 * The rules are the real ones (ingest/hot-ads/), the log is in memory.
 */
import { limits, partitionOf } from '../../ingest/click.ts';
import { unknownPartitions } from '../../ingest/hot-ads/partition-record.ts';
import {
  type HotAdTerms,
  partitionsRecord,
  type RoutedClick,
  ruleRecord,
  tickRecord,
} from '../../ingest/hot-ads/rule.ts';
import { RuleBook } from '../../ingest/hot-ads/rule-book.ts';
import { HotAdsLog } from '../support/hot-ads-log.ts';
import type { SeededRandom } from './seeded-random.ts';

export interface RoutingSettings {
  readonly seed: number;
  readonly partitions: number;
  readonly noticeMs: number;
  /** Of the first minute of the run, epoch ms. */
  readonly firstMinute: number;
  /** Minutes counted from the first in which the hottest ad is split; the end is left out. */
  readonly splitFrom: number;
  readonly splitUntil: number;
}

export interface RoutingSurroundings {
  now(): number;
  /** The clock of the topic's leader. */
  appendTime(): number;
  isCalm(): boolean;
  readonly random: SeededRandom;
}

/** More than clocks of leaders differ. */
const brokerSkewMs = 3_500;
/** It has most clicks, however many ads there are. */
export const hottestAd = 'ad-0';
const minuteMs = 60_000;
/** For the way of an announcement to the broker. */
const slackMs = 2_000;

export class Routing {
  readonly #terms: HotAdTerms;
  readonly #surroundings: RoutingSurroundings;
  readonly #log = new HotAdsLog();
  /** When each record could be read first. */
  readonly #arrivals: number[] = [];
  readonly #ingests: readonly Follower[];
  /** What holds, worked out apart from the code under test. */
  readonly #truth: { readonly from: number; readonly partitions: number }[];
  #serial = 0;

  constructor(settings: RoutingSettings, surroundings: RoutingSurroundings) {
    const { partitions, noticeMs, firstMinute, splitFrom, splitUntil } = settings;
    this.#terms = { noticeMs, brokerSkewMs, keptMs: 40 * 24 * 60 * minuteMs };
    this.#surroundings = surroundings;
    this.#truth = [{ from: 0, partitions }];
    const longAgo = firstMinute - 60 * minuteMs;
    // Two processes that found nothing recorded: the first holds.
    for (const recorded of [partitions, partitions + 1])
      this.#append(partitionsRecord({ ruleId: this.#ulid(), from: 0, partitions: recorded }, this.#terms), longAgo);
    const [from, until] = [firstMinute + splitFrom * minuteMs, firstMinute + splitUntil * minuteMs];
    if (from < until)
      this.#append(ruleRecord({ ruleId: this.#ulid(), adId: hottestAd, from, until }, this.#terms), longAgo);
    this.tick();
    this.#ingests = [this.follower(), this.follower()];
  }

  /** Nobody needs to announce anything for the log's time to go on. */
  tick(): void {
    this.#append(tickRecord(this.#terms), this.#surroundings.appendTime());
  }

  /** Where one of the ingest processes puts the click; undefined: it refuses, as it does not know. */
  partitionFor(ingest: number, click: RoutedClick): number | undefined {
    const { book } = this.#ingests[ingest]!.caughtUp();
    // Ingest takes none that is so far ahead: it is of somebody who writes to the log himself, and will not be counted.
    if (click.clickedAt > this.#surroundings.now() + limits.maxAheadMs)
      return partitionOf(click.adId, this.partitionsAt(0));
    return book.refusal(click.clickedAt) === undefined ? book.partitionFor(click) : undefined;
  }

  /** The minute for which a growth is to be announced now. */
  soonest(): number {
    return Math.ceil((this.#surroundings.now() + this.#terms.noticeMs + slackMs) / minuteMs) * minuteMs;
  }

  /** Whether it holds: the announcer may have been stopped between deciding and sending. */
  announce(partitions: number, from: number): boolean {
    const appendedAt = this.#surroundings.appendTime();
    this.#append(partitionsRecord({ ruleId: this.#ulid(), from, partitions }, this.#terms), appendedAt);
    if (from < appendedAt + this.#terms.noticeMs) return false;
    this.#truth.push({ from, partitions });
    return true;
  }

  /** What is true of a time in which all that holds has been announced. */
  partitionsAt(eventTime: number): number {
    return Math.max(...this.#truth.filter(({ from }) => from <= eventTime).map(({ partitions }) => partitions));
  }

  follower(): Follower {
    return new Follower(new RuleBook(this.#terms), this.#log, this.#arrivals, this.#surroundings);
  }

  #append(record: Parameters<HotAdsLog['append']>[0], appendedAt: number): void {
    this.#log.append(record, appendedAt);
    this.#arrivals.push(this.#surroundings.now());
  }

  #ulid(): string {
    return `01K${String(++this.#serial).padStart(23, '0')}`;
  }
}

class Follower {
  readonly book: RuleBook;
  readonly #log: HotAdsLog;
  readonly #arrivals: readonly number[];
  readonly #surroundings: RoutingSurroundings;
  #lagMs = 0;
  #lagUntil = 0;

  constructor(book: RuleBook, log: HotAdsLog, arrivals: readonly number[], surroundings: RoutingSurroundings) {
    this.book = book;
    this.#log = log;
    this.#arrivals = arrivals;
    this.#surroundings = surroundings;
  }

  /** Having read what it has by now. */
  caughtUp(): this {
    const { now, isCalm, random } = this.#surroundings;
    if (now() >= this.#lagUntil) {
      this.#lagMs = isCalm() ? 0 : random.pick([0, 0, 500, 3_000, 25_000]);
      this.#lagUntil = now() + random.between(500, 20_000);
    }
    if (isCalm()) this.#lagMs = 0;
    const { position } = this.book;
    let known = position;
    while (known < this.#arrivals.length && this.#arrivals[known]! <= now() - this.#lagMs) known++;
    if (known > position) this.book.read(this.#log.fetch(position, known - position));
    return this;
  }

  /** As a process that counts tells it. */
  partitionsAt(eventTime: number): number {
    return this.caughtUp().book.partitionsAt(eventTime) ?? unknownPartitions;
  }
}
