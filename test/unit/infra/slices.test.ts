import fc from 'fast-check';
import { expect, it } from 'vitest';
import { atOnce, givingWay, sorted } from '../../../infra/slices.ts';

const byKey = (a: { key: number }, b: { key: number }) => a.key - b.key;

it('what is sorted in slices is sorted as at once, and equal ones stay in their order', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50), { maxLength: 40 }), fc.nat(4_500), (keys, more) => {
      const items = [...keys, ...Array.from({ length: more }, (_, i) => (i * 7_919) % 1_013)].map((key, i) => ({
        key,
        i,
      }));
      expect(atOnce(sorted(items, byKey))).toEqual(items.toSorted(byKey));
    }),
    { numRuns: 50 },
  );
});

it('a slice of sorting is small, however much there is to sort', () => {
  let compared = 0;
  let most = 0;
  const items = Array.from({ length: 100_000 }, (_, i) => ({ key: (i * 7_919) % 100_003 }));
  const slices = sorted(items, (a, b) => {
    compared++;
    return byKey(a, b);
  });
  for (let isDone: boolean | undefined = false; !isDone; ) {
    compared = 0;
    isDone = slices.next().done;
    most = Math.max(most, compared);
  }
  expect(most).toBeLessThanOrEqual(12_000);
});

it('between two slices others have had their turn, and what one throws is thrown', async () => {
  const seen: string[] = [];
  function* slices() {
    seen.push('first');
    yield;
    seen.push('second');
    yield;
    throw new Error('third');
  }
  setImmediate(() => seen.push('others'));
  await expect(givingWay(slices())).rejects.toThrow('third');
  expect(seen).toEqual(['first', 'others', 'second']);
});
