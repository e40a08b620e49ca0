import { expect, it } from 'vitest';
import type { Progress } from '../../../aggregator/ad-minute.ts';
import { idsPerAdEverywhereFrom, idsPerAdFromOf } from '../../../query-api/jobs/conservation/id-rule.ts';

const progress = (partition: number, ids_per_ad_from: number | null): Progress => {
  const lines = { received: 0, counted: 0, duplicates: 0, quarantined: 0, acknowledged: 0, missing: 0 };
  const times = { position: 1, watermark: 0, final_until: 0, appended_at: 0 };
  return {
    partition,
    partitions: 4,
    ...times,
    ...lines,
    invalid: 0,
    ids_per_ad_from,
  };
};

it('applies the former rule to all minutes of a partition whose progress does not name a minute, and to none of a partition without progress', () => {
  const rows = [progress(3, 180_000), progress(0, 0), progress(1, null)];
  expect(idsPerAdFromOf(rows)).toEqual([0, Number.POSITIVE_INFINITY, 0, 180_000]);
  expect(idsPerAdEverywhereFrom(rows)).toBe(Number.POSITIVE_INFINITY);
  expect(idsPerAdEverywhereFrom([progress(0, 0), progress(3, 180_000)])).toBe(180_000);
  expect(idsPerAdEverywhereFrom([])).toBe(0);
});
