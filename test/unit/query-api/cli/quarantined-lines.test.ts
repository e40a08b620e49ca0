import { describe, expect, it } from 'vitest';
import { inBatches } from '../../../../query-api/cli/quarantined-lines.ts';

async function* numbers(count: number) {
  for (let n = 0; n < count; n++) yield n;
}

describe('inBatches', () => {
  it.each([
    [0, []],
    [2, [[0, 1]]],
    [
      4,
      [
        [0, 1],
        [2, 3],
      ],
    ],
    [5, [[0, 1], [2, 3], [4]]],
  ])('of %i lines gives all of them, in order, two at a time', async (count, batches) => {
    const found: number[][] = [];
    for await (const batch of inBatches(numbers(count), 2)) found.push(batch);
    expect(found).toEqual(batches);
  });
});
