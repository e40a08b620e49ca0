import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../../infra/config.ts';
import { mostSplitAds, splitsToAnnounce } from '../../../../ingest/hot-ads/announcements.ts';
import { HotAdDetector } from '../../../../ingest/hot-ads/detector.ts';
import { HeavyHitters } from '../../../../ingest/hot-ads/heavy-hitters.ts';
import { HotAdConfig, type HotAdRule, hotAdTermsOf } from '../../../../ingest/hot-ads/rule.ts';
import { SeededRandom } from '../../../simulation/seeded-random.ts';

const minute = 60_000;

describe('HeavyHitters', () => {
  it('says never more than it saw, holds every key above its share, and stays within its bound', () => {
    const keys = fc.array(fc.oneof(fc.constantFrom('a', 'b'), fc.string({ maxLength: 2 })), { maxLength: 400 });
    fc.assert(
      fc.property(keys, fc.integer({ min: 1, max: 12 }), (seen, most) => {
        const hitters = new HeavyHitters(most);
        for (const key of seen) hitters.see(key);
        const truth = new Map([...Map.groupBy(seen, key => key)].map(([key, all]) => [key, all.length]));
        expect(hitters.counters.size).toBeLessThanOrEqual(most);
        for (const [key, { count, error }] of hitters.counters) {
          expect(count).toBeGreaterThanOrEqual(truth.get(key) ?? 0);
          expect(count - error).toBeLessThanOrEqual(truth.get(key) ?? 0);
        }
        for (const [key, times] of truth) if (times > seen.length / most) expect(hitters.counters.has(key)).toBe(true);
      }),
    );
  });
});

describe('HotAdDetector', () => {
  const slotMs = 10_000;
  /** Half of the clicks of one ad, the rest of 5,000 others, in batches of `batch`, where the hot one always comes first. */
  const fill = (detector: HotAdDetector, clicks: number, batch = 2) => {
    for (let i = 0; i < clicks; i++) detector.see(i % batch === 0 ? 'ad-hot' : `ad-${i % 5_000}`);
  };

  it('tells share and rate of an ad with half of the clicks, and of no other', () => {
    const detector = new HotAdDetector({ slotMs, random: new SeededRandom(1).next.bind(new SeededRandom(1)) });
    fill(detector, 200_000);
    const [hot, ...others] = detector.turn();
    expect(hot?.adId).toBe('ad-hot');
    expect(hot?.share).toBeCloseTo(0.5, 1);
    expect(hot?.clicksPerSecond).toBeGreaterThan(8_500);
    expect(hot?.clicksPerSecond).toBeLessThan(11_500);
    expect(others.every(({ share }) => share < 0.01)).toBe(true);
  });

  it('sees what stands at the same place of each batch no more than other clicks', () => {
    const random = new SeededRandom(7);
    const detector = new HotAdDetector({ slotMs, random: () => random.next() });
    fill(detector, 320_000, 16);
    const hot = detector.turn().find(({ adId }) => adId === 'ad-hot');
    expect(hot?.share).toBeGreaterThan(1 / 16 / 1.3);
    expect(hot?.share).toBeLessThan((1 / 16) * 1.3);
  });

  it('forgets what was hot a minute ago', () => {
    const random = new SeededRandom(3);
    const detector = new HotAdDetector({ slotMs, random: () => random.next() });
    fill(detector, 20_000);
    expect(detector.turn()[0]?.adId).toBe('ad-hot');
    for (let slot = 0; slot < 5; slot++) expect(detector.turn()[0]?.adId).toBe('ad-hot');
    expect(detector.turn()).toEqual([]);
  });
});

describe('splitsToAnnounce', () => {
  const hotAdTerms = hotAdTermsOf(loadConfig(HotAdConfig, {}));
  const settings = { share: 0.2, clicksPerSecond: 100, splitMs: 60 * minute };
  const now = Date.parse('2026-03-01T12:00:30Z');
  const slackMs = 10_000;
  const soonest = Math.ceil((now + hotAdTerms.noticeMs + slackMs) / minute) * minute;
  const reading = (adId: string, share: number, clicksPerSecond = 1_000) => ({ adId, share, clicksPerSecond });
  const rule = (adId: string, from: number, until: number): HotAdRule => ({ ruleId: 'R', adId, from, until });
  const asked = (readings: Parameters<typeof splitsToAnnounce>[0], rules: HotAdRule[] = [], rulesKept = rules.length) =>
    splitsToAnnounce(readings, settings, { rules, rulesKept, now, terms: hotAdTerms, slackMs });

  it('splits an ad that has the share and the rate, from the first whole minute that everybody hears of in time', () => {
    expect(asked([reading('a', 0.5), reading('b', 0.19), reading('c', 0.3, 99)])).toEqual([
      { adId: 'a', from: soonest, until: soonest + 60 * minute },
    ]);
  });

  it('leaves an ad alone that is split for long enough, and prolongs near the end, without a gap, what has half of it', () => {
    const long = rule('a', now - minute, soonest + 20 * minute);
    const short = { ...long, until: soonest + 10 * minute };
    expect(asked([reading('a', 0.5)], [long])).toEqual([]);
    expect(asked([reading('a', 0.11, 60)], [short])).toEqual([
      { adId: 'a', from: short.until, until: short.until + 60 * minute },
    ]);
    expect(asked([reading('a', 0.09)], [short])).toEqual([]);
  });

  it('never changes what is announced already: no rule begins before the soonest minute', () => {
    const ended = rule('a', now - 60 * minute, now + minute);
    expect(asked([reading('a', 0.11)], [ended])[0]?.from).toBe(soonest);
  });

  it('splits a bounded number of ads, and none when the topic is full; those that are split go first', () => {
    const many = Array.from({ length: mostSplitAds }, (_, i) => rule(`ad-${i}`, now, soonest + 10 * minute));
    expect(asked([reading('new', 0.9), reading('ad-3', 0.2)], many).map(({ adId }) => adId)).toEqual(['ad-3']);
    expect(asked([reading('new', 0.9)], [], 10_000)).toEqual([]);
  });
});
