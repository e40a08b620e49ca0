import { describe, expect, it } from 'vitest';
import { usableBlocks } from '../../../../query-api/store/rollup/blocks.ts';

const hourMs = 3_600_000;
const row = (ends: number, window: number, restatements = 0) => ({ window, ends, restatements });

describe('a block over several shards', () => {
  it('is one that each of them has worked out, with all restatements that are told', () => {
    const rows = [row(60_000, 1), row(60_000, 1), row(120_000, 1), row(hourMs, 60, 1), row(hourMs, 60, 1)];
    const told = [{ minute: 1_800_000, restatements: 1 }];
    const { hours, minutes } = usableBlocks(rows, told, 2);
    expect([...minutes]).toEqual([0]);
    expect([...hours]).toEqual([0]);
    expect(usableBlocks([row(hourMs, 60, 1), row(hourMs, 60)], told, 2).hours.size).toBe(0);
    expect([...usableBlocks(rows, told, 1).minutes]).toEqual([60_000]);
  });
});
