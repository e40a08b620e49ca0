/**
 * Says in which minutes which ads were split while rules of invalid clicks had caps, by the log of topic `hot-ads` alone.
 * Pure. Whether clicks of such an ad really lie in several partitions, only the rows say (`split-clicks.ts`).
 */
import { ownsAd, type Tenant } from '../../infra/keys/tenant.ts';
import type { HotAdRule } from '../../ingest/hot-ads/rule.ts';
import { type RulesVersion, versionAt } from '../../ingest/validity/rule-set.ts';
import { hasCaps } from '../../ingest/validity/rules.ts';
import { minuteMs, type TimeRange } from '../time/time-range.ts';

/** What this process has read of topic `hot-ads`. It goes on reading, so the values change. */
export interface SplitRules {
  readonly rules: readonly HotAdRule[];
  readonly versions: readonly RulesVersion[];
  /** All rules and versions of the minutes before this (epoch ms) are known. */
  readonly rulesKnownUntil: number;
}

/** Of a pipeline in which no ad is split. */
export const noneSplit: SplitRules = { rules: [], versions: [], rulesKnownUntil: Number.POSITIVE_INFINITY };

export function splitRulesOf(known: SplitRules, tenant: Tenant): SplitRules {
  return {
    get rules() {
      return known.rules.filter(({ adId }) => ownsAd(tenant, adId));
    },
    get versions() {
      return known.versions;
    },
    get rulesKnownUntil() {
      return known.rulesKnownUntil;
    },
  };
}

/** Returns the minutes of the range, in order, in which some ad is split and a version with caps holds. */
export function splitMinutesIn({ rules, versions }: SplitRules, range: TimeRange): number[] {
  const minutes = new Set<number>();
  const split = rules.filter(({ from, until }) => from < range.to && range.from < until);
  if (split.length === 0) return [];
  for (const capped of cappedIn(versions, range)) {
    for (const { from, until } of merged(split)) {
      const to = Math.min(until, capped.to);
      for (let minute = Math.max(from, capped.from); minute < to; minute += minuteMs) minutes.add(minute);
    }
  }
  return [...minutes].sort((a, b) => a - b);
}

/** Returns the ads that are split in some minute of the range. */
export function splitAdsIn({ rules }: SplitRules, range: TimeRange): string[] {
  return [...new Set(rules.filter(({ from, until }) => from < range.to && range.from < until).map(({ adId }) => adId))];
}

/** Returns the numbers of all versions with caps, also of those that no minute takes by itself. */
export function cappedVersions({ versions }: SplitRules): number[] {
  return versions.filter(({ rules }) => hasCaps(rules)).map(({ version }) => version);
}

/** Returns the parts of the range in which the version in force has caps, in order. */
function cappedIn(versions: readonly RulesVersion[], range: TimeRange): TimeRange[] {
  const begins = versions.flatMap(({ holds, from }) => (holds && from !== null ? [from] : []));
  const inside = begins.filter(from => from > range.from && from < range.to);
  const edges = [...new Set([range.from, ...inside])].sort((a, b) => a - b);
  return edges
    .map((from, i) => ({ from, to: edges[i + 1] ?? range.to }))
    .filter(({ from }) => hasCaps(versionAt(versions, from).rules));
}

/** Joins rules that overlap or follow each other without a gap. */
function merged(rules: readonly HotAdRule[]): { from: number; until: number }[] {
  const joined: { from: number; until: number }[] = [];
  for (const { from, until } of [...rules].sort((a, b) => a.from - b.from)) {
    const last = joined.at(-1);
    if (last !== undefined && from <= last.until) last.until = Math.max(last.until, until);
    else joined.push({ from, until });
  }
  return joined;
}
