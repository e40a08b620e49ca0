/** Pure: which ads to split from when on, by what one process sees of them and what is split already. */
import type { AdReading } from './detector.ts';
import type { HotAdRule, HotAdTerms } from './rule.ts';

export interface SplitSettings {
  /** Of all clicks that the process takes, 0 to 1. */
  readonly share: number;
  readonly clicksPerSecond: number;
  /** How long a rule lasts, ms: whole minutes. */
  readonly splitMs: number;
}

export interface Announcing {
  readonly rules: readonly HotAdRule[];
  /** Rules of the log, whether they hold or not. */
  readonly rulesKept: number;
  /** The broker's time, epoch ms: rather too late than too early. */
  readonly now: number;
  readonly terms: HotAdTerms;
  /** For the way to the broker, ms. */
  readonly slackMs: number;
}

/** Ads that may be split at the same time. */
export const mostSplitAds = 64;
/** Beyond, nothing new is split until old rules are given up. */
export const mostRulesKept = 10_000;
/** An ad that is split stays so while it has this part of what made it hot: none is split and joined by turns. */
const stayingPart = 0.5;

export function splitsToAnnounce(
  readings: readonly AdReading[],
  settings: SplitSettings,
  { rules, rulesKept, now, terms, slackMs }: Announcing,
): Omit<HotAdRule, 'ruleId'>[] {
  const soonest = Math.ceil((now + terms.noticeMs + slackMs) / minuteMs) * minuteMs;
  const ends = new Map<string, number>();
  for (const { adId, until } of rules) ends.set(adId, Math.max(until, ends.get(adId) ?? 0));
  const places = mostSplitAds - [...ends.values()].filter(end => end > soonest).length;
  const splits = readings.flatMap(reading => {
    const end = ends.get(reading.adId) ?? 0;
    // It has long to go: whether it stays hot is asked near its end.
    if (end - soonest >= settings.splitMs / 4) return [];
    const part = end > now ? stayingPart : 1;
    if (reading.share < part * settings.share || reading.clicksPerSecond < part * settings.clicksPerSecond) return [];
    const from = Math.max(soonest, end);
    return [{ adId: reading.adId, from, until: from + settings.splitMs }];
  });
  const isNew = ({ adId }: { adId: string }) => (ends.get(adId) ?? 0) <= soonest;
  const renewed = splits.filter(split => !isNew(split));
  const room = Math.max(0, mostRulesKept - rulesKept);
  return [...renewed, ...splits.filter(isNew).slice(0, Math.max(0, places))].slice(0, room);
}

const minuteMs = 60_000;
