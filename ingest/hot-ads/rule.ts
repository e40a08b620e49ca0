/**
 * CONTRACT: defines to which partition of `clicks` a click belongs, and the records of topic `hot-ads`, which say so.
 *
 * A rule says that the clicks of one ad, with event times in [from, until), are spread over all partitions by their
 * event id instead of being in the ad's home partition. The minute of the event decides, and never the minute of
 * arrival: a copy that is posted days later has the same ad, event id and `clicked_at`, and so meets the first one in
 * the same partition. Of several rules for an ad the union holds. Their order and repetition do not matter, and no rule
 * can take back another.
 *
 * A rule holds if it is in the log `noticeMs` before it begins, by the broker's clock: `from >= appendedAt + noticeMs`.
 * A rule that came too late never holds, for anybody, whenever it is read.
 *
 * Every record contains the notice of its writer, in header `notice_ms`. A reader whose own notice differs stops. The
 * record also contains its kind and format (infra/kafka/record-contract.ts). After an unknown record a process accepts
 * no clicks, because it may be a rule. So a release writes no kind that the release before does not know, unless
 * somebody asks for it.
 *
 * | record, each of format 1 | key | value | headers |
 * | --- | --- | --- | --- |
 * | rule | `ad_id\|from\|until\|rule_id`: never used twice, so compaction removes none | `{"rule_id","ad_id","from","until"}`; whole minutes, epoch ms | `kind=rule` |
 * | tick: there is nothing new | `tick` | `{}` | `kind=tick` |
 * | a rule that is given up when no click can need it any more | that of the rule | null | `kind=expired`, `rule`: its value |
 * | the number of partitions over which clicks are spread | see `partition-rule.ts` | | |
 * | a version of the rules of invalid traffic | see `../validity/rule-set.ts` | | |
 */
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { Corrupt } from '../../infra/errors.ts';
import type { OutgoingRecord } from '../../infra/kafka/outgoing-record.ts';
import type { LogRecord } from '../../infra/kafka/record-batch.ts';
import { assertKnown, formatHeader, recordContract } from '../../infra/kafka/record-contract.ts';
import { adIdPattern, type Click, limits, partitionOf, splitPartitionOf } from '../click.ts';
import { type AnnouncedRules, ruleSetIn, ruleSetRecord, rulesOfRuleSets } from '../validity/rule-set.ts';
import { type PartitionRule, partitionRecord, partitionRuleIn, rulesOfPartitionRules } from './partition-rule.ts';

export interface HotAdRule {
  /** A ULID. */
  readonly ruleId: string;
  readonly adId: string;
  /** The first minute that is split, in epoch ms. */
  readonly from: number;
  /** The first minute that is not split any more, in epoch ms. */
  readonly until: number;
}

/** The times on which all readers of rules agree, in ms. */
export interface HotAdTerms {
  /**
   * The minimum time from the append of a rule to its beginning. It is practically fixed once the topic has records.
   */
  readonly noticeMs: number;
  /** The largest difference between the clocks of two brokers that lead the topic's partition one after the other. */
  readonly brokerSkewMs: number;
  /**
   * A rule is kept for this long after its end: as long as raw clicks are kept, and far longer than clicks may be late.
   */
  readonly keptMs: number;
}

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

const brokerSkewMs = 10_000;

/** The settings that all readers of rules share. */
export const HotAdConfig = Type.Object({
  HOT_AD_NOTICE_MS: Type.Integer({
    // Clicks may be dated `maxAheadMs` ahead. Beyond that, readers have a minute to learn of a rule.
    default: limits.maxAheadMs + minuteMs + brokerSkewMs,
    minimum: 30_000,
    maximum: 3_600_000,
    description:
      'milliseconds from the announcement that an ad is split until the split begins. With less than the default, clicks dated in the future are refused (503) until it is known how they are routed. All processes must have the same value, and it cannot change once topic `hot-ads` has records',
  }),
});

export function hotAdTermsOf({ HOT_AD_NOTICE_MS }: Static<typeof HotAdConfig>): HotAdTerms {
  return { noticeMs: HOT_AD_NOTICE_MS, brokerSkewMs, keptMs: 36 * dayMs };
}

export type RoutedClick = Pick<Click, 'adId' | 'eventId' | 'clickedAt'>;
/** Returns whether a rule that holds covers this event time. */
export type IsSplit = (adId: string, clickedAt: number) => boolean;

/**
 * Returns the partition in which all copies of the click meet. A click without an event id has no copies, and its click
 * id is used as `event_id`.
 */
export function routeOf({ adId, eventId, clickedAt }: RoutedClick, partitions: number, isSplit: IsSplit): number {
  return isSplit(adId, clickedAt) ? splitPartitionOf(eventId, partitions) : partitionOf(adId, partitions);
}

export function isSplitBy(rules: readonly HotAdRule[]): IsSplit {
  return (adId, clickedAt) =>
    rules.some(rule => rule.adId === adId && rule.from <= clickedAt && clickedAt < rule.until);
}

export function isInTime({ from }: Pick<HotAdRule, 'from'>, appendedAt: number, { noticeMs }: HotAdTerms): boolean {
  return from >= appendedAt + noticeMs;
}

export type HotAdsEntry =
  | { readonly kind: 'rule' | 'expired'; readonly rule: HotAdRule }
  | { readonly kind: 'base' | 'growth'; readonly rule: PartitionRule }
  | { readonly kind: 'validity-rules'; readonly rule: AnnouncedRules }
  | { readonly kind: 'tick'; readonly rule?: undefined };

/** The kinds and formats that this release can read. */
const contract = recordContract({ rule: [1], tick: [1], expired: [1], partitions: [1], 'validity-rules': [1] });

/** @throws Corrupt for any other record, or one with other terms. A reader that skipped it might skip a rule */
export function entryOf(record: LogRecord, { noticeMs }: HotAdTerms): HotAdsEntry {
  const { offset, value, headers = {} } = record;
  assertKnown(contract, { topic: 'hot-ads', partition: 0 }, record);
  const notice = String(headers['notice_ms']);
  if (notice !== String(noticeMs)) {
    throw damaged(offset, `header notice_ms "${notice}": must be HOT_AD_NOTICE_MS=${noticeMs} in all processes`);
  }
  const kind = String(headers['kind']);
  const isBase = kind === 'tick' && String(headers['holds']) === 'partitions';
  if (isBase || kind === 'partitions') {
    const rule = partitionRuleIn(parsed(String(value)));
    if (rule === undefined || isBase !== (rule.from === 0))
      throw damaged(offset, `${kind} ${value}: must be ${rulesOfPartitionRules}`);
    return { kind: isBase ? 'base' : 'growth', rule };
  }
  if (kind === 'validity-rules') {
    const rule = ruleSetIn(parsed(String(value)));
    if (rule === undefined) throw damaged(offset, `${kind} ${value}: must be ${rulesOfRuleSets}`);
    return { kind, rule };
  }
  if (kind === 'tick') return { kind };
  if (kind !== 'rule' && kind !== 'expired')
    throw damaged(offset, `header kind "${kind}": must be rule, tick, expired, partitions or validity-rules`);
  const text = String(kind === 'rule' ? value : headers['rule']);
  const json = parsed(text);
  if (!Value.Check(RuleValue, json)) throw damaged(offset, `rule ${text}: must be ${rulesOfRules}`);
  const { rule_id: ruleId, ad_id: adId, from, until } = json;
  if (from >= until || until - from > longestRuleMs) throw damaged(offset, `rule ${text}: must be ${rulesOfRules}`);
  return { kind, rule: { ruleId, adId, from, until } };
}

export function ruleRecord(rule: HotAdRule, terms: HotAdTerms): OutgoingRecord {
  return { partition: 0, key: keyOf(rule), value: valueText(rule), headers: { kind: 'rule', ...headersBy(terms) } };
}

export function tickRecord(terms: HotAdTerms): OutgoingRecord {
  return { partition: 0, key: 'tick', value: '{}', headers: { kind: 'tick', ...headersBy(terms) } };
}

export function expiredRecord(rule: HotAdRule, terms: HotAdTerms): OutgoingRecord {
  const headers = { kind: 'expired', rule: valueText(rule), ...headersBy(terms) };
  return { partition: 0, key: keyOf(rule), value: null, headers };
}

/** Writes the base when `from` is 0, otherwise a growth. */
export function partitionsRecord(rule: PartitionRule, terms: HotAdTerms): OutgoingRecord {
  const { headers, ...record } = partitionRecord(rule);
  return { ...record, partition: 0, headers: { ...headers, ...headersBy(terms) } };
}

export function validityRulesRecord(announced: AnnouncedRules, terms: HotAdTerms): OutgoingRecord {
  const { headers, ...record } = ruleSetRecord(announced);
  return { ...record, partition: 0, headers: { ...headers, ...headersBy(terms) } };
}

function headersBy({ noticeMs }: HotAdTerms) {
  return { ...formatHeader(1), notice_ms: String(noticeMs) };
}

const longestRuleMs = 7 * dayMs;

const minute = Type.Integer({ minimum: 0, multipleOf: minuteMs });
const RuleValue = Type.Object({
  rule_id: Type.String({ pattern: '^[0-9A-Z]{26}$' }),
  ad_id: Type.String({ pattern: adIdPattern.source }),
  from: minute,
  until: minute,
});
const rulesOfRules = '{"rule_id","ad_id","from","until"}, from < until in whole minutes of epoch ms, 7 days at most';

function valueText({ ruleId, adId, from, until }: HotAdRule): string {
  return JSON.stringify({ rule_id: ruleId, ad_id: adId, from, until } satisfies Static<typeof RuleValue>);
}

function keyOf({ ruleId, adId, from, until }: HotAdRule): string {
  return `${adId}|${from}|${until}|${ruleId}`;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function damaged(offset: number, what: string): Corrupt {
  return new Corrupt(`topic hot-ads, offset ${offset}: ${what}`);
}
