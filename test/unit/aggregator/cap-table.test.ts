/** The table of what caps have let through keeps a word for each key and cell, as a map does. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { CapTable } from '../../../aggregator/core/cap-table.ts';

/** Few values, so that keys agree in their slots, and in the bits that the index keeps of them. */
const keys = fc.record({
  cell: fc.integer({ min: 1, max: 3 }),
  words: fc.tuple(
    fc.constantFrom(0, 1, -1, 0x7fffffff),
    fc.constantFrom(0, 1, 2, 0xff, 0x100, -1),
    fc.integer({ min: 0, max: 2 }),
  ),
});

function add(table: CapTable, cell: number, words: readonly number[]): number {
  // What is before the key, and after it, is no part of it.
  const place = table.placeOf(cell, Int32Array.of(9, ...words, 9), 1);
  table.set(place, table.get(place) + 1);
  return table.get(place);
}

it('counts each key of each cell by itself, and finds it, while it grows', () => {
  fc.assert(
    fc.property(fc.array(keys, { maxLength: 300 }), fc.integer({ min: 0, max: 20_000 }), (taken, expectedKeys) => {
      const table = new CapTable(expectedKeys, 4);
      const counts = new Map<string, number>();
      for (const { cell, words } of taken) {
        const name = `${cell}|${words}`;
        const [found, size] = [table.find(cell, Int32Array.of(...words), 0), table.size];
        expect(found === 0 ? undefined : table.get(found)).toBe(counts.get(name));
        expect(table.size).toBe(size);
        counts.set(name, (counts.get(name) ?? 0) + 1);
        expect(add(table, cell, words)).toBe(counts.get(name));
      }
      expect(table.size).toBe(counts.size);
    }),
  );
});

it('finds each of many keys again after it has grown, also at once to what is expected', () => {
  const many = 50_000;
  for (const expectedKeys of [0, 40_000]) {
    const table = new CapTable(expectedKeys);
    // Of four keys one after another, all agree in their slot and in most of their bits.
    const wordsOf = (i: number) => [Math.imul(i >> 2, 0x9e3779b1), i & 1, i & 2];
    for (let i = 0; i < many; i++) expect(add(table, 1, wordsOf(i))).toBe(1);
    for (let i = 0; i < many; i++) expect(add(table, 1, wordsOf(i))).toBe(2);
    expect(table.size).toBe(many);
    expect(table.byteLength).toBeLessThan(many * 60);
  }
});

it('has forgotten all of them once it is cleared', () => {
  const table = new CapTable();
  for (let i = 0; i < 1_000; i++) add(table, 1, [Math.imul(i, 0x9e3779b1), i, i]);
  table.clear();
  expect(table.size).toBe(0);
  for (let i = 0; i < 1_000; i++) expect(add(table, 1, [Math.imul(i, 0x9e3779b1), i, i])).toBe(1);
});
