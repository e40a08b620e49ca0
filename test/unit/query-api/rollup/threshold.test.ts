import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AdCount } from '../../../../query-api/store/ad-counts.ts';
import { type Listed, settle, topOf } from '../../../../query-api/store/rollup/threshold.ts';

type List = ReadonlyMap<string, number>;

const lists = fc.array(
  fc
    .array(fc.tuple(fc.integer({ min: 0, max: 25 }), fc.integer({ min: 1, max: 30 })), { maxLength: 25 })
    .map(ads => new Map(ads.map(([n, clicks]) => [`ad-${n}`, clicks]))),
  { minLength: 1, maxLength: 6 },
);

/** The first `length` ads of each list, and the clicks of the first ad that is left out. */
function cut(all: readonly List[], length: number): { ads: Map<string, Listed>; allBounds: number } {
  const ads = new Map<string, Listed>();
  let allBounds = 0;
  for (const list of all) {
    const ranked = topOf(countsOf(list), list.size);
    const bound = ranked[length]?.count ?? 0;
    allBounds += bound;
    for (const { ad_id, count } of ranked.slice(0, length)) {
      const known = ads.get(ad_id) ?? { ad_id, listed: 0, bounds: 0 };
      ads.set(ad_id, { ad_id, listed: known.listed + count, bounds: known.bounds + bound });
    }
  }
  return { ads, allBounds };
}

function countsOf(list: List): AdCount[] {
  return [...list].map(([ad_id, count]) => ({ ad_id, count }));
}

function sumsOf(all: readonly List[]): Map<string, number> {
  const sums = new Map<string, number>();
  for (const list of all) for (const [ad, clicks] of list) sums.set(ad, (sums.get(ad) ?? 0) + clicks);
  return sums;
}

describe('the top list from lists that are cut', () => {
  it('is the true top list, also with ties, whenever it can be computed', () => {
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
        const looked2 = settled.doubtful.map(ad_id => ({ ad_id, count: sums.get(ad_id) ?? 0 }));
        expect(topOf([...settled.exact, ...looked2], limit)).toEqual(topOf(countsOf(sums), limit));
      },
    );
    fc.assert(property, { numRuns: 3_000 });
    expect(told).toBeGreaterThan(300);
  });

  it('looks nothing up when every list names the candidates', () => {
    const ads = ['a', 'b'].map((ad_id, i) => ({ ad_id, listed: 100 - i, bounds: 6 }));
    expect(settle(ads, 6, 2, true)).toEqual({
      exact: [
        { ad_id: 'a', count: 100 },
        { ad_id: 'b', count: 99 },
      ],
      doubtful: [],
    });
  });

  it('is undefined when an ad that no list names may have as many clicks', () => {
    const ads = [{ ad_id: 'b', listed: 6, bounds: 6 }];
    expect(settle(ads, 6, 1, true)).toBeUndefined();
    expect(settle([{ ad_id: 'b', listed: 7, bounds: 6 }], 6, 1, true)).toBeDefined();
  });

  it('names all ads when no list leaves any out', () => {
    expect(settle([{ ad_id: 'a', listed: 1, bounds: 0 }], 0, 100, true)?.exact).toEqual([{ ad_id: 'a', count: 1 }]);
  });
});
