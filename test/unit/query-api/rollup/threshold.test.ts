import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AdCount } from '../../../../query-api/store/ad-counts.ts';
import { clicksOf } from '../../../../query-api/store/net-and-gross.ts';
import { type Listed, settle, topOf } from '../../../../query-api/store/rollup/threshold.ts';

type List = readonly AdCount[];

/** Some ads have no net clicks at all, which a list names too. */
const adCounts = fc
  .tuple(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 3 }))
  .filter(([net, duplicates, invalid]) => net + duplicates + invalid > 0);
const lists = fc.array(
  fc.array(fc.tuple(fc.integer({ min: 0, max: 25 }), adCounts), { maxLength: 25 }).map(ads =>
    [...new Map(ads)].map(([n, [net, duplicates, invalid]]) => ({
      ...{ ad_id: `ad-${n}`, count: net + invalid, duplicates, invalid },
    })),
  ),
  { minLength: 1, maxLength: 6 },
);

/** The first `length` ads of each list, and what is the most that an ad can have which is left out. */
function cut(all: readonly List[], length: number): { ads: Map<string, Listed>; allBounds: number } {
  const ads = new Map<string, Listed>();
  let allBounds = 0;
  for (const list of all) {
    const ranked = list.toSorted((a, b) => netOf(b) - netOf(a) || (a.ad_id < b.ad_id ? -1 : 1));
    const next = ranked[length];
    const bound = next === undefined ? 0 : Math.max(1, netOf(next));
    allBounds += bound;
    for (const ad of ranked.slice(0, length)) {
      const known = ads.get(ad.ad_id) ?? listed(ad.ad_id, 0, 0);
      ads.set(ad.ad_id, {
        ...listed(ad.ad_id, known.listed + netOf(ad), known.bounds + bound),
        duplicates: known.duplicates + ad.duplicates,
        invalid: known.invalid + ad.invalid,
      });
    }
  }
  return { ads, allBounds };
}

function netOf(ad: AdCount): number {
  return clicksOf(ad, 'net');
}

function listed(ad_id: string, clicks: number, bounds: number): Listed {
  return { ad_id, listed: clicks, bounds, duplicates: 0, invalid: 0 };
}

function sumsOf(all: readonly List[]): AdCount[] {
  const sums = new Map<string, AdCount>();
  for (const ad of all.flat()) {
    const { count, duplicates, invalid } = sums.get(ad.ad_id) ?? { count: 0, duplicates: 0, invalid: 0 };
    sums.set(ad.ad_id, {
      ad_id: ad.ad_id,
      count: count + ad.count,
      duplicates: duplicates + ad.duplicates,
      invalid: invalid + ad.invalid,
    });
  }
  return [...sums.values()];
}

describe('the top list from lists that are cut', () => {
  it('is the true top list, also with ties and with all that stands beside, whenever it can be computed', () => {
    let told = 0;
    const property = fc.property(
      ...[lists, fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 6 }), fc.integer({ min: 4, max: 30 })],
      (all, length, limit, looked) => {
        const { ads, allBounds } = cut(all, length);
        const upper = ({ listed, bounds }: Listed) => listed - bounds;
        const candidates = [...ads.values()].sort((a, b) => upper(b) - upper(a)).slice(0, looked);
        const settled = settle(candidates, allBounds, limit, candidates.length < looked);
        if (settled === undefined) return;
        told++;
        const sums = sumsOf(all);
        const looked2 = sums.filter(({ ad_id }) => settled.doubtful.includes(ad_id));
        expect(topOf([...settled.exact, ...looked2], limit)).toEqual(topOf(sums, limit));
      },
    );
    fc.assert(property, { numRuns: 3_000 });
    expect(told).toBeGreaterThan(300);
  });

  it('looks nothing up when every list names the candidates', () => {
    const ads = ['a', 'b'].map((ad_id, i) => listed(ad_id, 100 - i, 6));
    expect(settle(ads, 6, 2, true)).toEqual({
      exact: [
        { ad_id: 'a', count: 100, duplicates: 0, invalid: 0 },
        { ad_id: 'b', count: 99, duplicates: 0, invalid: 0 },
      ],
      doubtful: [],
    });
  });

  it('is undefined when an ad that no list names may have as many clicks', () => {
    const ads = [listed('b', 6, 6)];
    expect(settle(ads, 6, 1, true)).toBeUndefined();
    expect(settle([listed('b', 7, 6)], 6, 1, true)).toBeDefined();
  });

  it('names all ads when no list leaves any out', () => {
    expect(settle([listed('a', 1, 0)], 0, 100, true)?.exact).toMatchObject([{ ad_id: 'a', count: 1 }]);
  });
});
