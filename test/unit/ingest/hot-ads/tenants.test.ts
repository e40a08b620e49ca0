/** Two tenants and hot ads: what one of them posts never makes an ad of the other look hotter than it is. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createClickParser } from '../../../../ingest/click-batch.ts';
import { type AdReading, HotAdDetector } from '../../../../ingest/hot-ads/detector.ts';
import { clicksOf as clicksIn } from '../../../support/clicks.ts';

type Click = readonly [adId: string, client: string];

/** Looks at every click. */
function readingsOf(clicks: readonly Click[]): ReadonlyMap<string, AdReading> {
  const detector = new HotAdDetector({ slotMs: 10_000, random: () => 0 });
  for (const click of clicks) detector.see(...click);
  return new Map(detector.turn().map(reading => [reading.adId, reading]));
}

/** Clicks a second without those of the three busiest groups of clients, which decides whether an ad is split. */
const leftOf = ({ clicksPerSecond, busiest }: AdReading) =>
  clicksPerSecond * (1 - busiest.slice(0, 3).reduce((sum, share) => sum + share, 0));

const clicksOf = (tenant: string, most: number) =>
  fc.array(
    fc.tuple(
      fc.nat({ max: most }).map(n => `${tenant}-${n}`),
      fc.nat({ max: 60 }).map(n => `10.0.0.${n}`),
    ),
    { maxLength: 400 },
  );

describe('an ad of a tenant', () => {
  it('never looks hotter by the clicks of another, however many ads and clients these are of', () => {
    fc.assert(
      fc.property(
        clicksOf('acme', 5),
        clicksOf('shop', 200),
        fc.infiniteStream(fc.boolean()),
        (own, foreign, turns) => {
          const mixed: Click[] = [];
          const [ours, theirs] = [[...own], [...foreign]];
          while (ours.length + theirs.length > 0) {
            const next = (turns.next().value ? ours.shift() : theirs.shift()) ?? ours.shift() ?? theirs.shift();
            if (next) mixed.push(next);
          }
          const alone = readingsOf(own);
          for (const [adId, beside] of readingsOf(mixed)) {
            if (!adId.startsWith('acme-')) continue;
            const only = alone.get(adId) ?? expect.fail(`${adId} was not clicked`);
            expect(beside.share).toBeLessThanOrEqual(only.share);
            expect(beside.clicksPerSecond).toBeLessThanOrEqual(only.clicksPerSecond);
            expect(leftOf(beside)).toBeLessThanOrEqual(leftOf(only) + 1e-9);
          }
        },
      ),
    );
  });

  it('is not seen at all in the clicks that another tenant posts for it, because they are rejected', () => {
    const slices = createClickParser(10).ndjson(
      Buffer.from(['acme-1', 'shop-1'].map(ad_id => JSON.stringify({ ad_id })).join('\n')),
      { receivedAt: Date.now(), isStrict: false, adIdPrefixes: ['shop-'] },
    );
    let next = slices.next();
    while (!next.done) next = slices.next();
    expect(clicksIn(next.value.lines).map(({ adId }) => adId)).toEqual(['shop-1']);
    expect(next.value.rejected).toMatchObject([{ index: 0, code: 'forbidden_ad' }]);
  });
});
