/**
 * CONTRACT: holds the rules (rule.ts) that one process knows, and the minute up to which it knows all of them. It is pure and has
 * no clock.
 *
 * A process that has read the log from its beginning to a record appended at time a knows every rule before it. A rule
 * that it does not know yet stands later in the log, was appended at a or later, and holds only from a + noticeMs on.
 * So all rules for event times before `knownUntil` = a + noticeMs - brokerSkewMs are known for good: nothing that is
 * read later changes them. Clicks of later minutes are refused until more has been read. This is the whole lease. It is
 * a time of the log, so neither the process's clock nor a pause of any length can make it route without a rule that it
 * has missed.
 */
import { Corrupt, Retryable } from '../../infra/errors.ts';
import type { ReadRecords } from '../../infra/kafka/read-parts.ts';
import type { LogRecord } from '../../infra/kafka/record-batch.ts';
import type { RulesVersion } from '../validity/rule-set.ts';
import { RuleVersions } from '../validity/rule-versions.ts';
import type { RuleSet } from '../validity/rules.ts';
import { type PartitionRule, partitionsAt } from './partition-rule.ts';
import {
  entryOf,
  type HotAdRule,
  type HotAdsEntry,
  type HotAdTerms,
  isInTime,
  isSplitBy,
  type RoutedClick,
  routeOf,
} from './rule.ts';

/** What a batch has changed. */
export interface ReadRules {
  readonly announced: readonly HotAdRule[];
  /** Rules that came too late to hold. */
  readonly tooLate: readonly HotAdRule[];
  /** Rules about the number of partitions, and whether they hold. A second base or a late growth does not. */
  readonly partitions: readonly { readonly rule: PartitionRule; readonly holds: boolean }[];
  /** Versions of the rules of invalid traffic. */
  readonly versions: readonly RulesVersion[];
}

/** A log with more is taken for damaged: announcers stop far earlier. */
const mostRules = 20_000;
/** The same of growths. */
const mostPartitionRules = 1_000;
/** By far more than a broker's clock is put back between two records, which come every few seconds. */
const expiryReserveMs = 3_600_000;

export class RuleBook {
  readonly #terms: HotAdTerms;
  readonly #holding = new Map<string, HotAdRule[]>();
  /** Rules without effect. Their keys are remembered so that they can be given up in time. */
  readonly #tooLate = new Map<string, HotAdRule>();
  readonly #ids = new Set<string>();
  #base: PartitionRule | undefined;
  #growths: readonly PartitionRule[] = [];
  readonly #versions = new RuleVersions();
  #position = 0;
  #knownUntil = Number.NEGATIVE_INFINITY;
  #rulesKnownUntil = Number.NEGATIVE_INFINITY;
  #lastAppendedAt = Number.NEGATIVE_INFINITY;
  #newestAppendedAt = Number.NEGATIVE_INFINITY;
  #corrupt: Corrupt | undefined;
  readonly #isSplit = (adId: string, clickedAt: number) => this.isSplit(adId, clickedAt);

  constructor(terms: HotAdTerms) {
    this.#terms = terms;
  }

  /** The offset of the next record. */
  get position(): number {
    return this.#position;
  }

  /** All rules for event times before this are known. Epoch ms. */
  get knownUntil(): number {
    return this.#knownUntil;
  }

  /** The latest append time that was read. The broker's clock has passed it. */
  get lastAppendedAt(): number {
    return this.#lastAppendedAt;
  }

  /** The append time of the newest record, which is before the latest one where the broker's clock was put back. */
  get newestAppendedAt(): number {
    return this.#newestAppendedAt;
  }

  /** Whether the log contradicts the contract. */
  get isCorrupt(): boolean {
    return this.#corrupt !== undefined;
  }

  /** @throws Corrupt if the log contradicts the contract */
  check(): void {
    if (this.#corrupt) throw this.#corrupt;
  }

  /** The rules that hold. */
  get rules(): HotAdRule[] {
    return [...this.#holding.values()].flat();
  }

  /**
   * The rules that hold about the number of partitions, each with the time from when it holds. Empty when nothing is
   * recorded yet.
   */
  get partitionRules(): readonly PartitionRule[] {
    return this.#base === undefined ? [] : [this.#base, ...this.#growths];
  }

  /** The highest number that is in force or announced, or undefined when none is recorded yet. */
  get partitions(): number | undefined {
    return this.#base && Math.max(...this.partitionRules.map(({ partitions }) => partitions));
  }

  /** All versions of the rules of invalid traffic, in the order of the log. */
  get versions(): readonly RulesVersion[] {
    return this.#versions.all;
  }

  /**
   * The rules of invalid traffic are known for all minutes that begin before this. Epoch ms. A record that cannot be
   * read takes back nothing that was known before it.
   */
  get rulesKnownUntil(): number {
    return this.#rulesKnownUntil;
  }

  /** Returns the rules of invalid traffic of the minute. @throws Retryable when they are not known yet */
  rulesAt(minute: number): RuleSet {
    if (minute < this.#rulesKnownUntil) return this.#versions.at(minute);
    if (this.#corrupt) throw new Retryable(`hot ads: ${this.#corrupt.message}`, { cause: this.#corrupt });
    throw new Retryable(`the rules of invalid traffic at ${new Date(minute).toISOString()} are not known yet`);
  }

  /** The number in a minute of event time, or undefined when it is not known yet or nothing is recorded. */
  partitionsAt(clickedAt: number): number | undefined {
    return this.refusal(clickedAt) === undefined ? this.#partitionsAt(clickedAt) : undefined;
  }

  /** The number of rules that are kept, whether they hold or not. */
  get size(): number {
    return this.#ids.size;
  }

  /**
   * Reads the next records of the log, or some that were read before. @throws Corrupt for records that contradict the
   * contract. From then on no click is routed, and a person decides
   */
  read(batch: ReadRecords): ReadRules {
    if (this.#corrupt) throw this.#corrupt;
    try {
      return this.#read(batch);
    } catch (error) {
      if (!(error instanceof Corrupt)) throw error;
      this.#corrupt = error;
      this.#knownUntil = Number.NEGATIVE_INFINITY;
      throw error;
    }
  }

  isSplit(adId: string, clickedAt: number): boolean {
    const rules = this.#holding.get(adId);
    return rules !== undefined && isSplitBy(rules)(adId, clickedAt);
  }

  /** Returns why a click of this event time cannot be routed, or undefined. */
  refusal(clickedAt: number): Retryable | undefined {
    // Rules begin with minutes, so what is known about the first ms of a minute is known about all of it.
    if (clickedAt - (clickedAt % 60_000) < this.#knownUntil) return this.#base ? undefined : unrecorded();
    if (this.#corrupt) return new Retryable(`hot ads: ${this.#corrupt.message}`, { cause: this.#corrupt });
    const heard = this.#position === 0 ? 'nothing' : `all before ${new Date(this.#knownUntil).toISOString()}`;
    return new Retryable(
      `hot ads: which ads are split at ${new Date(clickedAt).toISOString()} is not known yet, only ${heard}`,
    );
  }

  /** @throws Retryable when `refusal` gives a reason */
  partitionFor(click: RoutedClick): number {
    const refusal = this.refusal(click.clickedAt);
    if (refusal) throw refusal;
    return routeOf(click, this.#partitionsAt(click.clickedAt), this.#isSplit);
  }

  /**
   * Returns rules that no click can need any more, by the time of the log. A record that gives one up too early stops every
   * process for good, and the broker's clock may be put back before that record is appended. So this goes by the newest
   * record, which need not have the latest time, and not before an hour more has passed.
   */
  expired(): HotAdRule[] {
    const at = this.#newestAppendedAt - expiryReserveMs;
    return [...this.rules, ...this.#tooLate.values()].filter(rule => this.#isExpired(rule, at));
  }

  #read({ fetchedOffset, nextOffset, records }: ReadRecords): ReadRules {
    if (fetchedOffset > this.#position) {
      throw new Corrupt(
        `topic hot-ads was read up to offset ${this.#position} and continues at ${fetchedOffset}: what stood between is unknown`,
      );
    }
    const news: News = { announced: [], tooLate: [], partitions: [], versions: [] };
    for (const record of records) {
      if (record.offset < this.#position) continue;
      this.#take(record, news);
      this.#position = record.offset + 1;
    }
    this.#position = Math.max(this.#position, nextOffset);
    return news;
  }

  #take(record: LogRecord, news: News): void {
    const { offset, timestamp } = record;
    const entry = entryOf(record, this.#terms);
    const { kind, rule } = entry;
    if (kind === 'base' || kind === 'growth') {
      news.partitions.push({ rule, holds: this.#takePartitions(entry, record) });
    } else if (kind === 'validity-rules') {
      const { from, ruleId } = rule;
      const holds = from !== null && this.#holds({ from, ruleId }, record);
      const version = this.#versions.add(rule, timestamp, holds);
      if (version) news.versions.push(version);
      if (this.#versions.areTooMany)
        throw new Corrupt('topic hot-ads holds too many versions of the rules of invalid traffic');
    } else if (kind === 'rule') {
      if (this.#holds(rule, record)) {
        this.#add(rule);
        news.announced.push(rule);
      } else {
        this.#tooLate.set(rule.ruleId, rule);
        news.tooLate.push(rule);
      }
      this.#ids.add(rule.ruleId);
      if (this.#ids.size > mostRules) throw new Corrupt(`topic hot-ads holds more than ${mostRules} rules`);
    } else if (kind === 'expired') {
      if (!this.#isExpired(rule, timestamp)) {
        throw new Corrupt(
          `topic hot-ads, offset ${offset}: rule ${rule.ruleId} was marked as expired while it was still needed`,
        );
      }
      this.#remove(rule);
    }
    this.#newestAppendedAt = timestamp;
    this.#lastAppendedAt = Math.max(this.#lastAppendedAt, timestamp);
    this.#knownUntil = this.#lastAppendedAt + this.#terms.noticeMs - this.#terms.brokerSkewMs;
    this.#rulesKnownUntil = this.#knownUntil;
  }

  #partitionsAt(clickedAt: number): number {
    return Math.max(this.#base?.partitions ?? 0, partitionsAt(this.#growths, clickedAt));
  }

  /** Returns whether the rule holds. */
  #takePartitions({ kind, rule }: Extract<HotAdsEntry, { rule: PartitionRule }>, record: LogRecord): boolean {
    if (kind === 'base') {
      this.#base ??= rule;
      return this.#base.ruleId === rule.ruleId;
    }
    if (!this.#holds(rule, record)) return false;
    this.#growths = [...this.#growths, rule];
    if (this.#growths.length > mostPartitionRules)
      throw new Corrupt(`topic hot-ads holds more than ${mostPartitionRules} growths of the partitions`);
    return true;
  }

  /**
   * Returns whether the rule was announced in time. @throws Corrupt when it begins in a minute whose rules were all
   * known before it was read
   */
  #holds(rule: Pick<HotAdRule, 'ruleId' | 'from'>, { offset, timestamp }: LogRecord): boolean {
    if (!isInTime(rule, timestamp, this.#terms)) return false;
    if (rule.from >= this.#knownUntil) return true;
    throw new Corrupt(
      `topic hot-ads, offset ${offset}: rule ${rule.ruleId} was appended at ${timestamp}, behind a record ` +
        `of ${this.#lastAppendedAt}: the brokers' clocks differ by more than ${this.#terms.brokerSkewMs} ms`,
    );
  }

  #add(rule: HotAdRule): void {
    this.#holding.set(rule.adId, [...(this.#holding.get(rule.adId) ?? []), rule]);
  }

  #remove({ ruleId, adId }: HotAdRule): void {
    this.#ids.delete(ruleId);
    this.#tooLate.delete(ruleId);
    const rest = this.#holding.get(adId)?.filter(rule => rule.ruleId !== ruleId) ?? [];
    if (rest.length > 0) this.#holding.set(adId, rest);
    else this.#holding.delete(adId);
  }

  #isExpired({ until }: HotAdRule, at: number): boolean {
    return until + this.#terms.keptMs <= at;
  }
}

interface News {
  readonly announced: HotAdRule[];
  readonly tooLate: HotAdRule[];
  readonly partitions: { rule: PartitionRule; holds: boolean }[];
  readonly versions: RulesVersion[];
}

function unrecorded(): Retryable {
  return new Retryable('partitions: topic hot-ads does not say yet over how many partitions the clicks are spread');
}
