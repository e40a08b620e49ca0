/**
 * Turns a row of our own exports (exported-columns.ts) back into the columns of its click. A value that the export
 * shows as empty or unknown was not given. For a quarantined line, the whole line counts, not the few fields next to
 * it.
 */
import { unknownCountry } from '../country.ts';
import { facts as allFacts, factsIn } from '../validity/facts.ts';
import { clickColumns, earlierClickColumns, earlierQuarantineColumns, quarantineColumns } from './exported-columns.ts';
import type { Columns, Row } from './format.ts';

export type ExportKind = 'clicks' | 'quarantine';

/** Returns undefined for a file that is not one of our exports, or was changed. */
export function kindOf(columns: readonly string[]): ExportKind | undefined {
  if ([clickColumns, earlierClickColumns].some(ours => areSame(columns, ours))) return 'clicks';
  const areLines = [quarantineColumns, earlierQuarantineColumns].some(ours => areSame(columns, ours));
  return areLines ? 'quarantine' : undefined;
}

/** `columns` is everything in the row, as text or as in JSON. */
export function exportedRow(kind: ExportKind, columns: Columns): Row {
  if (kind === 'quarantine') return quarantinedRow(columns);
  const given = Object.entries(columns).filter(
    ([column, value]) => value !== '' && !(column === 'country' && value === unknownCountry),
  );
  // Facts stay, whatever is kept of the fields by which they were found. Of the purpose, exports have nothing but its fact.
  const isPrefetch = (factsIn(String(columns['facts'] ?? '')) & allFacts.prefetch.bit) !== 0;
  return { columns: { ...Object.fromEntries(given), ...(isPrefetch && { purpose: 'prefetch' }) } };
}

/**
 * A line without `event_id` gets the id of its place in the log, as `adclicks quarantine retry` posts it and as every
 * export shows it.
 */
function quarantinedRow({ raw, partition, offset, line }: Columns): Row {
  try {
    const json: unknown = JSON.parse(String(raw));
    if (typeof json === 'object' && json !== null && !Array.isArray(json)) {
      const own: Columns = { ...json };
      return { columns: { ...own, event_id: own['event_id'] ?? `quarantine-${partition}-${offset}-${line}` } };
    }
  } catch {
    // This may be the reason for its quarantine.
  }
  return { problem: 'raw: not a JSON object' };
}

/** Compares in any order. */
function areSame(columns: readonly string[], ours: readonly string[]): boolean {
  return columns.length === ours.length && ours.every(column => columns.includes(column));
}
