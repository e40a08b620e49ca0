/** What the store would show after a number of commits: of each cell the row of the highest version. */
import { type AdMinuteRow, adMinuteRowOf } from '../../aggregator/ad-minute.ts';
import type { Output } from '../../aggregator/core/output.ts';

export type Cells = Map<string, { clicks: number; duplicates: number; late: number }>;

export function rowsOf(output: Output): AdMinuteRow[] {
  const text = Buffer.concat(output.rowChunks).toString();
  return text
    .split('\n')
    .filter(line => line !== '')
    .map(line => adMinuteRowOf(JSON.parse(line)));
}

export function cellsOf(outputs: readonly Output[]): Cells {
  const rows = new Map<string, AdMinuteRow>();
  for (const row of outputs.flatMap(rowsOf)) {
    const key = `${row.minute}|${row.ad_id}|${row.country}`;
    const before = rows.get(key);
    if (before === undefined || row.version > before.version) rows.set(key, row);
  }
  return new Map([...rows].map(([key, { clicks, duplicates, late }]) => [key, { clicks, duplicates, late }]));
}
