import { describe, expect, it } from 'vitest';
import { usableBlocks } from '../../../../query-api/store/rollup/blocks.ts';

const hourMs = 3_600_000;
const row = (ends: number, window: number, restatements = 0) => ({ window, ends, restatements });

describe('a block over several shards', () => {
  it('is used when each shard has computed it with all visible restatements', () => {
    const rows = [row(60_000, 1), row(60_000, 1), row(120_000, 1), row(hourMs, 60, 1), row(hourMs, 60, 1)];
    const restated = [{ minute: 1_800_000, restatements: 1 }];
    const { hours, minutes } = usableBlocks(rows, restated, 2);
    expect([...minutes]).toEqual([0]);
    expect([...hours]).toEqual([0]);
    expect(usableBlocks([row(hourMs, 60, 1), row(hourMs, 60)], restated, 2).hours.size).toBe(0);
    expect([...usableBlocks(rows, restated, 1).minutes]).toEqual([60_000]);
  });
});
