import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../../infra/config.ts';
import { IngestConfig, splitSettingsOf } from '../../../../ingest/config.ts';
import {
  isHot,
  isOfMany,
  mostNewPerHour,
  mostSplitAds,
  splitsToAnnounce,
} from '../../../../ingest/hot-ads/announcements.ts';
import { HotAdDetector } from '../../../../ingest/hot-ads/detector.ts';
import { HeavyHitters, sourceGroups } from '../../../../ingest/hot-ads/heavy-hitters.ts';
import { HotLooks } from '../../../../ingest/hot-ads/hot-looks.ts';
import { HotAdConfig, type HotAdRule, hotAdTermsOf } from '../../../../ingest/hot-ads/rule.ts';
import { SeededRandom } from '../../../simulation/seeded-random.ts';

const minute = 60_000;

describe('HeavyHitters', () => {
  it('says never more than it saw, holds every key above its share, and stays within its bound', () => {
    const keys = fc.array(fc.oneof(fc.constantFrom('a', 'b'), fc.string({ maxLength: 2 })), { maxLength: 400 });
    fc.assert(
      fc.property(keys, fc.integer({ min: 1, max: 12 }), (seen, most) => {
        const hitters = new HeavyHitters(most);
        for (const [i, key] of seen.entries()) hitters.see(key, i % sourceGroups);
        const truth = new Map([...Map.groupBy(seen, key => key)].map(([key, all]) => [key, all.length]));
        expect(hitters.counters.size).toBeLessThanOrEqual(most);
        for (const [key, { count, error, bySource }] of hitters.counters) {
          expect(count).toBeGreaterThanOrEqual(truth.get(key) ?? 0);
          expect(count - error).toBeLessThanOrEqual(truth.get(key) ?? 0);
          expect(bySource.reduce((sum, n) => sum + n, 0)).toBe(count - error);
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
    for (let i = 0; i < clicks; i++) detector.see(i % batch === 0 ? 'ad-hot' : `ad-${i % 5_000}`, `10.0.${i % 256}.1`);
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

/** What one process announces by the looks of several minutes, 10 s of clicks at a time. */
describe('an ad that somebody would have split', () => {
  const slotMs = 10_000;
  const config = loadConfig(IngestConfig, {});
  const settings = splitSettingsOf(config) ?? expect.fail('no settings');
  const terms = hotAdTermsOf(config);
  const start = Date.parse('2026-03-01T12:00:00Z');
  type Click = readonly [adId: string, client: string];

  /** The look at which an ad is announced first, by ad. */
  function announcedAt(slots: number, clicksOf: (slot: number) => Iterable<Click>): ReadonlyMap<string, number> {
    const random = new SeededRandom(11);
    const detector = new HotAdDetector({ slotMs, random: () => random.next() });
    const hotLooks = new HotLooks({ minutes: settings.minutes, slotMs });
    const found = new Map<string, number>();
    for (let slot = 0; slot < slots; slot++) {
      for (const [adId, client] of clicksOf(slot)) detector.see(adId, client);
      const readings = detector.turn();
      const hot = readings.filter(reading => isHot(reading, settings) && isOfMany(reading, settings));
      const lasting = hotLooks.take(hot.map(({ adId }) => adId));
      const now = start + slot * slotMs;
      const asked = { rules: [], rulesKept: 0, lasting, now, terms, slackMs: 10_000 };
      for (const { adId } of splitsToAnnounce(readings, settings, asked)) if (!found.has(adId)) found.set(adId, slot);
    }
    return found;
  }
  /** Usual clicks: 2,000 a second of as many ads, from 500 clients. */
  const usual = (): Click[] =>
    Array.from({ length: 20_000 }, (_, i) => [`ad-${i % 2_000}`, `10.1.${i % 250}.${i % 2}`]);
  const postsOf = (adId: string, clicks: number, clients: number): Click[] =>
    Array.from({ length: clicks }, (_, i) => [adId, `192.0.2.${i % clients}`]);

  it('is not split by nine requests of 10,000 clicks, be they of one client or of many', () => {
    for (const clients of [1, 200]) {
      const clicksOf = (slot: number) => [...usual(), ...(slot === 3 ? postsOf('ad-stranger', 90_000, clients) : [])];
      expect(announcedAt(40, clicksOf)).toEqual(new Map());
    }
  });

  it('is not split by one client, nor by three, for however long they go on', () => {
    for (const clients of [1, 2, 3]) {
      const clicksOf = () => [...usual(), ...postsOf('ad-stranger', 40_000, clients)];
      expect(announcedAt(30, clicksOf)).toEqual(new Map());
    }
  });

  it('is announced within three minutes where it is truly hot', () => {
    const announced = announcedAt(18, () => [...usual(), ...postsOf('ad-hot', 20_000, 200)]);
    expect([...announced.keys()]).toEqual(['ad-hot']);
    const pausing = announcedAt(60, slot => [...usual(), ...(slot % 12 < 6 ? postsOf('ad-hot', 20_000, 200) : [])]);
    expect(pausing).toEqual(new Map());
  });

  it('is announced at once where one client is believed for all', () => {
    const trusting = { ...settings, clients: 1 };
    const [reading] = (() => {
      const detector = new HotAdDetector({ slotMs, random: () => 0.5 });
      for (const [adId, client] of postsOf('ad-hot', 40_000, 1)) detector.see(adId, client);
      return detector.turn();
    })();
    expect(reading && isHot(reading, trusting) && isOfMany(reading, trusting)).toBe(true);
    expect(reading && isOfMany(reading, settings)).toBe(false);
  });
});

describe('splitsToAnnounce', () => {
  const hotAdTerms = hotAdTermsOf(loadConfig(HotAdConfig, {}));
  const settings = { share: 0.2, clicksPerSecond: 100, clients: 2, minutes: 2, splitMs: 60 * minute };
  const now = Date.parse('2026-03-01T12:00:30Z');
  const slackMs = 10_000;
  const soonest = Math.ceil((now + hotAdTerms.noticeMs + slackMs) / minute) * minute;
  const reading = (adId: string, share: number, clicksPerSecond = 1_000, busiest = [0.1, 0.1]) => {
    return { adId, share, clicksPerSecond, busiest };
  };
  const rule = (adId: string, from: number, until: number): HotAdRule => ({ ruleId: 'R', adId, from, until });
  const asked = (readings: Parameters<typeof splitsToAnnounce>[0], rules: HotAdRule[] = [], rulesKept = rules.length) =>
    splitsToAnnounce(readings, settings, {
      ...{ rules, rulesKept, now, terms: hotAdTerms, slackMs },
      lasting: new Set(readings.map(({ adId }) => adId)),
    });

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

  it('takes no client alone for a reason, neither to begin nor to go on', () => {
    const short = rule('a', now - minute, soonest + 10 * minute);
    expect(asked([reading('a', 0.9, 1_000, [0.9, 0.1])])).toEqual([]);
    expect(asked([reading('a', 0.15, 1_000, [0.9, 0.1])], [short])).toEqual([]);
    expect(asked([reading('a', 0.9, 1_000, [0.5, 0.5])])).toHaveLength(1);
  });

  it('begins to split a bounded number of ads in an hour, whoever announces them, and goes on with the others', () => {
    const hot = Array.from({ length: 40 }, (_, i) => reading(`ad-${i}`, 0.3));
    expect(asked(hot)).toHaveLength(mostNewPerHour);
    const begun = Array.from({ length: 10 }, (_, i) => rule(`old-${i}`, soonest - i * minute, soonest + 50 * minute));
    expect(asked(hot, begun)).toHaveLength(mostNewPerHour - 10);
    const longAgo = begun.map(each => ({ ...each, from: soonest - 60 * minute }));
    expect(asked(hot, longAgo)).toHaveLength(mostNewPerHour);
    const prolonged = begun.flatMap(({ adId, from }) => [rule(adId, from - 90 * minute, from), rule(adId, from, now)]);
    expect(asked(hot, prolonged)).toHaveLength(mostNewPerHour);
  });

  it('announces only what has been hot for long enough', () => {
    const looks = new HotLooks({ minutes: 1, slotMs: 10_000 });
    for (let look = 0; look < 6; look++) expect([...looks.take(['a', 'b'])]).toEqual([]);
    expect([...looks.take(['a'])]).toEqual(['a']);
    expect([...looks.take(['a', 'b'])]).toEqual(['a']);
    const lasting = new Set<string>();
    const asking = { rules: [], rulesKept: 0, lasting, now, terms: hotAdTerms, slackMs };
    expect(splitsToAnnounce([reading('a', 0.5)], settings, asking)).toEqual([]);
  });
});
