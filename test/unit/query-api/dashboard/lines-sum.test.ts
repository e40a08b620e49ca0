/** The sum of all lines of an ad, made of the numbers that the API gives. */
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';

interface Known {
  readonly [name: string]: number | boolean | undefined;
}
const pages = join(import.meta.dirname, '../../../../query-api/dashboard/parts/lines-sum.js');
const { linesSumOf } = (await import(pages)) as { linesSumOf(known: Known): Record<string, number> | undefined };

const some = fc.integer({ min: 0, max: 50 });
/** The lines of one minute and country, by whether they arrived in time or too late. */
const cell = fc.record({ clicks: some, copies: some, lateClicks: some, lateCopies: some });
const total = <T>(rows: readonly T[], of: (row: T) => number) => rows.reduce((sum, row) => sum + of(row), 0);

it('counts each received line once, whichever of them a recount has added', () => {
  fc.assert(
    fc.property(fc.array(cell, { maxLength: 8 }), some, some, (cells, waiting, never) => {
      // A recount changes a cell only if it finds more clicks. Then it also adds all copies of the cell to the duplicates.
      const isChanged = ({ lateClicks }: { lateClicks: number }) => lateClicks > 0;
      const told = cells.map(one => (isChanged(one) ? one.copies + one.lateCopies : one.copies));
      const known = {
        isFiltered: false,
        count: total(cells, one => one.clicks + one.lateClicks),
        duplicates: total(told, n => n),
        added: total(cells, one => one.lateClicks),
        addedDuplicates: total(cells.filter(isChanged), one => one.lateCopies),
        restated: total(cells, one => one.lateClicks + one.lateCopies),
        waiting,
        never,
      };
      const lines = total(cells, one => one.clicks + one.copies + one.lateClicks + one.lateCopies) + waiting + never;
      const copies = total(cells, one => one.copies + one.lateCopies);
      expect(linesSumOf(known)).toEqual({
        ...{ lines, clicks: known.count, copies, waiting, never },
        lateCopies: total(cells, one => one.lateCopies),
      });
    }),
  );
});

it('is not shown with a filter, if a number is not known, or if clicks were restated for another reason', () => {
  const known = { count: 5, duplicates: 1, added: 2, addedDuplicates: 0, restated: 3, waiting: 0, never: 0 };
  expect(linesSumOf({ ...known, isFiltered: false })).toMatchObject({ lines: 7, copies: 2 });
  expect(linesSumOf({ ...known, isFiltered: true })).toBeUndefined();
  expect(linesSumOf({ ...known, isFiltered: false, never: undefined })).toBeUndefined();
  expect(linesSumOf({ ...known, isFiltered: false, added: 9 })).toBeUndefined();
});
