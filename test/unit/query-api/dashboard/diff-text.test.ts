/** The line above what a recount changes. It is also what a person confirms before final counts are restated. */
import { join } from 'node:path';
import { expect, it } from 'vitest';

const file = join(import.meta.dirname, '../../../../query-api/dashboard/parts/diff-text.js');
const { diffText } = (await import(file)) as { diffText(diff: Readonly<Record<string, number>>): string };

it('names the clicks, and those that are billed where invalid ones are among them', () => {
  const clicks = { cells: 2, before: 16, after: 16 };
  expect(diffText({ ...clicks, invalid_before: 6, invalid_after: 0 })).toBe(
    '2 counts differ: 16 → 16 clicks (±0), 10 → 16 net (+6)',
  );
  expect(diffText({ ...clicks, after: 15, invalid_before: 0, invalid_after: 3 })).toBe(
    '2 counts differ: 16 → 15 clicks (−1), 16 → 12 net (−4)',
  );
  expect(diffText({ cells: 1, before: 3, after: 2, invalid_before: 0, invalid_after: 0 })).toBe(
    '1 count differs: 3 → 2 clicks (−1)',
  );
});
