/** What /v1/status says of invalid clicks: gross = duplicates + invalid + net, in each partition and in all. */
import { expect, it } from 'vitest';
import type { Progress } from '../../../aggregator/ad-minute.ts';
import { statusOf } from '../../../query-api/answers/pipeline-status.ts';

function progressOf(partition: number, counted: number, duplicates: number, invalid: number): Progress {
  return {
    ...{ partition, partitions: 2, position: 1, watermark: 1, final_until: 1, appended_at: 1 },
    ...{ received: counted + duplicates, counted, duplicates, quarantined: 0, invalid },
    ...{ acknowledged: 0, missing: 0, ids_per_ad_from: null },
  };
}
const statusFor = (...progress: Progress[]) => statusOf(progress, undefined, undefined, new Map(), [], 1);

it('says how many clicks are gross, invalid and net, and that they add up', () => {
  const { partitions, conservation } = statusFor(progressOf(0, 10, 3, 4), progressOf(1, 5, 0, 0));
  expect(partitions.map(({ gross, invalid, net }) => [gross, invalid, net])).toEqual([
    [13, 4, 6],
    [5, 0, 5],
  ]);
  expect(conservation).toMatchObject({ gross: 18, duplicates: 3, invalid: 4, net: 11, balanced: true });
});

it('is not balanced when more clicks are invalid than are counted', () => {
  expect(statusFor(progressOf(0, 3, 0, 4)).conservation.balanced).toBe(false);
});
