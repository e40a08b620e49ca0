/**
 * Decides, as a pure function, which ads to split and from when on, from what one process sees of them and what is
 * already split.
 *
 * A split costs everybody who queries, because every process keeps the rule for weeks. So no single client may cause a
 * stranger's ad to be split (decision 023): the ad must be hot for `minutes` without a break, and without its `clients
 * - 1` busiest clients it must still have half of the clicks that make an ad hot. There are also limits to the new
 * splits in an hour, to the ads that are split at a time, and to the rules that are kept.
 */
import type { AdReading } from './detector.ts';
import type { HotAdRule, HotAdTerms } from './rule.ts';

export interface SplitSettings {
  /** Share of all clicks of the process, from 0 to 1. */
  readonly share: number;
  readonly clicksPerSecond: number;
  /** At least this many clients must make it hot. With 1, every client is trusted. */
  readonly clients: number;
  /** It must be hot for this long before it is announced. */
  readonly minutes: number;
  /** How long a rule lasts, in ms. A number of whole minutes. */
  readonly splitMs: number;
}

export interface Announcing {
  readonly rules: readonly HotAdRule[];
  /** The rules in the log, whether they hold or not. */
  readonly rulesKept: number;
  /** Ads that have been hot for long enough (`HotLooks`). */
  readonly lasting: ReadonlySet<string>;
  /** The broker's time, in epoch ms. It is rather too late than too early. */
  readonly now: number;
  readonly terms: HotAdTerms;
  /** The time for the way to the broker, in ms. */
  readonly slackMs: number;
}

/** The number of ads that may be split at the same time. */
export const mostSplitAds = 64;
/** The number of ads that all processes together begin to split in an hour, as far as they have read of each other. */
export const mostNewPerHour = 16;
/** Beyond, nothing new is split until old rules are given up. */
const mostRulesKept = 10_000;
/** An ad that is split stays so while it has this part of what made it hot: none is split and joined by turns. */
const stayingPart = 0.5;
/** Without its busiest clients, an ad must have this part of what makes it hot. */
const othersPart = 0.5;

export function splitsToAnnounce(
  readings: readonly AdReading[],
  settings: SplitSettings,
  { rules, rulesKept, lasting, now, terms, slackMs }: Announcing,
): Omit<HotAdRule, 'ruleId'>[] {
  const soonest = Math.ceil((now + terms.noticeMs + slackMs) / minuteMs) * minuteMs;
  const ends = new Map<string, number>();
  for (const { adId, until } of rules) ends.set(adId, Math.max(until, ends.get(adId) ?? 0));
  const places = Math.min(
    mostSplitAds - [...ends.values()].filter(end => end > soonest).length,
    mostNewPerHour - begunSince(soonest - hourMs, rules),
  );
  const splits = readings.flatMap(reading => {
    const end = ends.get(reading.adId) ?? 0;
    // The rule still lasts for long. Whether the ad stays hot is decided near its end.
    if (end - soonest >= settings.splitMs / 4) return [];
    const isSplit = end > now;
    const part = isSplit ? stayingPart : 1;
    if (!isHot(reading, settings, part) || !isOfMany(reading, settings, part)) return [];
    if (!isSplit && !lasting.has(reading.adId)) return [];
    const from = Math.max(soonest, end);
    return [{ adId: reading.adId, from, until: from + settings.splitMs }];
  });
  const isNew = ({ adId }: { adId: string }) => (ends.get(adId) ?? 0) <= soonest;
  const renewed = splits.filter(split => !isNew(split));
  const room = Math.max(0, mostRulesKept - rulesKept);
  return [...renewed, ...splits.filter(isNew).slice(0, Math.max(0, places))].slice(0, room);
}

/** Whoever posts its clicks. */
export function isHot(
  { share, clicksPerSecond }: Pick<AdReading, 'share' | 'clicksPerSecond'>,
  settings: SplitSettings,
  part = 1,
): boolean {
  return share >= part * settings.share && clicksPerSecond >= part * settings.clicksPerSecond;
}

/** Returns whether the ad has enough clicks even without its busiest clients. */
export function isOfMany(reading: AdReading, settings: SplitSettings, part = 1): boolean {
  if (settings.clients === 1) return true;
  const others = 1 - reading.busiest.slice(0, settings.clients - 1).reduce((sum, one) => sum + one, 0);
  const { share, clicksPerSecond } = reading;
  return isHot({ share: others * share, clicksPerSecond: others * clicksPerSecond }, settings, othersPart * part);
}

/**
 * Returns how many ads began to be split at that time or later. A rule that begins where another rule of its ad ends
 * continues that one.
 */
function begunSince(time: number, rules: readonly HotAdRule[]): number {
  const recent = rules.filter(({ from }) => from > time);
  const ends = new Set(rules.filter(({ until }) => until > time).map(({ adId, until }) => `${until} ${adId}`));
  return new Set(recent.filter(({ adId, from }) => !ends.has(`${from} ${adId}`)).map(({ adId }) => adId)).size;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
