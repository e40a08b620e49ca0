import { describe, expect, it } from 'vitest';
import type { Progress } from '../../../aggregator/ad-minute.ts';
import { createStallWatch, oldMs, stillMs } from '../../../query-api/answers/stalled-partitions.ts';

const start = Date.parse('2025-11-22T08:00:00Z');
const row = (partition: number, position: number, appended_at: number): Progress => ({
  ...{ partition, partitions: 2, position, appended_at, watermark: appended_at, final_until: 0, received: 0 },
  ...{ counted: 0, duplicates: 0, quarantined: 0, acknowledged: 0, missing: 0, invalid: 0, ids_per_ad_from: null },
});

/** Looks at the result of each step, `stillMs` after the previous one. */
function looks(steps: readonly (readonly Progress[])[]) {
  let now = start;
  const watch = createStallWatch(
    () => now,
    () => now,
  );
  return steps.map(progress => {
    const seen = watch(progress);
    now += stillMs;
    return seen;
  });
}

const long = start - oldMs - 1_000;

describe('a partition', () => {
  it('has stalled when it does not move and its last record is old, since the time of that record', () => {
    const progress = [row(0, 40, long), row(1, 7, start)];
    const [first, second] = looks([progress, progress]);
    expect(first).toEqual({ stalled: [], isUnsure: true });
    expect(second).toEqual({ stalled: [{ partition: 0, since: long }], isUnsure: false });
  });

  it('that is being caught up with has not stalled, however old its records are', () => {
    const [, second, third] = looks([[row(0, 40, long)], [row(0, 90, long + 5)], [row(0, 140, long + 9)]]);
    expect([second, third]).toEqual([
      { stalled: [], isUnsure: false },
      { stalled: [], isUnsure: false },
    ]);
  });

  it('that is counted again has no longer stalled', () => {
    const stopped = [row(0, 40, long)];
    expect(looks([stopped, stopped, [row(0, 41, start)]]).map(({ stalled }) => stalled.length)).toEqual([0, 1, 0]);
  });

  it('that was never counted is not called stalled, because nothing says since when', () => {
    expect(looks([[row(0, 0, 0)], [row(0, 0, 0)]]).at(-1)).toEqual({ stalled: [], isUnsure: false });
  });

  it('without clicks has not stalled, because ticks keep its last record young', () => {
    expect(looks([[row(0, 40, start)], [row(0, 40, start)]]).at(-1)?.stalled).toEqual([]);
  });
});
