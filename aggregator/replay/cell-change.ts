/** Compares the recounted clicks of one cell with the stated ones. */
import type { AdMinuteRow } from '../ad-minute.ts';
import type { CellChange, StatedRow } from '../restatement.ts';

export type RecountedCell = Omit<AdMinuteRow, 'version' | 'late'>;

/**
 * Returns undefined where the clicks agree. The stated clicks are summed over partitions, as in answers, because a
 * producer that writes to the log directly may have put an ad's clicks elsewhere than a recount does.
 */
export function changeOf(cell: RecountedCell, stated: readonly StatedRow[]): CellChange | undefined {
  const { minute, ad_id, country, clicks: after, duplicates, partition } = cell;
  const before = sumOf(stated, 'clicks');
  if (before === after) return undefined;
  // Clicks that a recount adds came after their minute was final, so they were also late.
  const late = Math.min(after, sumOf(stated, 'late') + Math.max(0, after - before));
  const elsewhere = stated.filter(row => row.partition !== partition);
  return {
    minute,
    ad_id,
    country,
    revision: 1 + Math.max(0, ...stated.map(row => row.revision)),
    before,
    after,
    before_duplicates: sumOf(stated, 'duplicates'),
    after_duplicates: duplicates,
    stated: stated.map(row => ({ partition: row.partition, clicks: row.clicks, duplicates: row.duplicates })),
    rows: [
      { partition, clicks: after, duplicates, late },
      ...elsewhere.map(row => ({ partition: row.partition, clicks: 0, duplicates: 0, late: 0 })),
    ],
  };
}

function sumOf(rows: readonly StatedRow[], field: 'clicks' | 'duplicates' | 'late'): number {
  return rows.reduce((sum, row) => sum + row[field], 0);
}
