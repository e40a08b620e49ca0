/** Compares a recounted cell with the rows that were stated for it. */
import type { AdMinuteRow, InvalidBy, Judged } from '../ad-minute.ts';
import type { CellChange, StatedRow } from '../restatement.ts';

export type RecountedCell = Omit<AdMinuteRow, 'version' | 'late'>;

/**
 * Returns undefined where the clicks agree, and also which of them are invalid and by which rules. The stated clicks are
 * summed over partitions, as in answers, because a producer that writes to the log directly may have put an ad's clicks
 * elsewhere than a recount does, and because a split ad has clicks in all of them.
 */
export function changeOf(cell: RecountedCell, stated: readonly StatedRow[]): CellChange | undefined {
  const { minute, ad_id, country, clicks: after, duplicates, partition, rules, invalid, invalid_by } = cell;
  const before = sumOf(stated, 'clicks');
  const before_invalid_by = invalidOf(stated);
  const isSameJudged = isSameBy(before_invalid_by, invalid_by) && stated.every(row => row.rules === rules);
  if (before === after && isSameJudged) return undefined;
  // Clicks that a recount adds came after their minute was final, so they were also late.
  const late = Math.min(after, sumOf(stated, 'late') + Math.max(0, after - before));
  const elsewhere = stated.filter(row => row.partition !== partition);
  const nothing: Judged = { rules, invalid: 0, invalid_by: {} };
  return {
    minute,
    ad_id,
    country,
    revision: 1 + Math.max(0, ...stated.map(row => row.revision)),
    before,
    after,
    before_duplicates: sumOf(stated, 'duplicates'),
    after_duplicates: duplicates,
    before_invalid: sumOf(stated, 'invalid'),
    before_invalid_by,
    // A cell that had no rows was judged by none.
    before_rules: Math.max(0, ...stated.map(row => row.rules)),
    after_invalid: invalid,
    after_invalid_by: invalid_by,
    after_rules: rules,
    stated: stated.map(row => ({ partition: row.partition, clicks: row.clicks, duplicates: row.duplicates })),
    stated_judged: stated.map(row => ({ rules: row.rules, invalid: row.invalid, invalid_by: row.invalid_by })),
    rows: [
      { partition, clicks: after, duplicates, late },
      ...elsewhere.map(row => ({ partition: row.partition, clicks: 0, duplicates: 0, late: 0 })),
    ],
    rows_judged: [{ rules, invalid, invalid_by }, ...elsewhere.map(() => nothing)],
  };
}

function sumOf(rows: readonly StatedRow[], field: 'clicks' | 'duplicates' | 'late' | 'invalid'): number {
  return rows.reduce((sum, row) => sum + row[field], 0);
}

function invalidOf(rows: readonly StatedRow[]): InvalidBy {
  const sums: Partial<Record<keyof InvalidBy, number>> = {};
  for (const { invalid_by } of rows) {
    for (const [reason, n] of Object.entries(invalid_by) as [keyof InvalidBy, number][])
      sums[reason] = (sums[reason] ?? 0) + n;
  }
  return sums;
}

/** None of the numbers is 0. */
function isSameBy(a: InvalidBy, b: InvalidBy): boolean {
  const reasons = Object.keys(a) as (keyof InvalidBy)[];
  return reasons.length === Object.keys(b).length && reasons.every(reason => a[reason] === b[reason]);
}
