/**
 * Looks from time to time at which ads are hot in one ingest process, and returns what is to be announced: splits of
 * ads that have been hot for long enough, and that nobody has announced; and rules that have expired, so that everybody
 * forgets them.
 */
import type { OutgoingRecord } from '../../infra/kafka/outgoing-record.ts';
import type { Logger } from '../../infra/log.ts';
import { counter, gauge } from '../../infra/metrics.ts';
import { isHot, isOfMany, type SplitSettings, splitsToAnnounce } from './announcements.ts';
import { HotAdDetector } from './detector.ts';
import { HotLooks } from './hot-looks.ts';
import { expiredRecord, type HotAdTerms, ruleRecord } from './rule.ts';
import type { RuleBook } from './rule-book.ts';

export interface HotAdLookDeps {
  readonly book: RuleBook;
  /** When it is undefined, nothing is announced. */
  readonly split: SplitSettings | undefined;
  readonly terms: HotAdTerms;
  readonly log: Logger;
  readonly newId: () => string;
}

export interface HotAdLook {
  /** Is called for every click. */
  see(adId: string, client: string): void;
  /** Is called every `slotMs`. `sinceReadMs`: the time since something of the log was read. */
  turn(sinceReadMs: number): readonly OutgoingRecord[];
}

/** The step of the detector's sliding minute, and the time between two looks at what is hot. */
export const slotMs = 10_000;
/** The time for the way of an announcement to the broker. */
const slackMs = 10_000;
const mostExpired = 100;

export function createHotAdLook({ book, split, terms, log, newId }: HotAdLookDeps): HotAdLook {
  const detector = new HotAdDetector({ slotMs, random: Math.random });
  const hotLooks = new HotLooks({ minutes: split?.minutes ?? 0, slotMs });
  let heldBack = 0;
  const noteHeldBack = (adIds: readonly string[]) => {
    heldBackAds.set(adIds.length);
    if (heldBack === 0 && adIds.length > 0) {
      log.warn(
        { ad: adIds[0], clients: split?.clients },
        'hot ad: not split, too few clients post its clicks (HOT_AD_CLIENTS)',
      );
    }
    heldBack = adIds.length;
  };
  return {
    see: (adId, client) => detector.see(adId, client),
    turn(sinceReadMs) {
      const readings = detector.turn();
      // Before anything was read, the broker's time is not known.
      if (split === undefined || book.position === 0) return [];
      const now = book.lastAppendedAt + sinceReadMs;
      const hot = readings.filter(reading => isHot(reading, split));
      const ofMany = hot.filter(reading => isOfMany(reading, split));
      noteHeldBack(hot.filter(reading => !ofMany.includes(reading)).map(({ adId }) => adId));
      const lasting = hotLooks.take(ofMany.map(({ adId }) => adId));
      const announcing = { rules: book.rules, rulesKept: book.size, lasting, now, terms, slackMs };
      const rules = splitsToAnnounce(readings, split, announcing).map(rule => ({ ruleId: newId(), ...rule }));
      announcements.inc(rules.length);
      const expired = book.expired().slice(0, mostExpired);
      return [...rules.map(rule => ruleRecord(rule, terms)), ...expired.map(rule => expiredRecord(rule, terms))];
    },
  };
}

const announcements = counter('hot_ad_announcements_total', 'Split rules that this process has announced');
const heldBackAds = gauge(
  'hot_ads_held_back',
  'Ads that are as hot as those that are split, but whose clicks come from too few clients',
);
