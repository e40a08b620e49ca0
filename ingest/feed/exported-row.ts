/**
 * A row of our own exports (exported-columns.ts) → the fields of the click it stands for, as it was: what an export says
 * is empty was not given, and of a quarantined line the whole of it counts, not the few fields that are told beside it.
 */
import { clickColumns, quarantineColumns } from './exported-columns.ts';

export type ExportKind = 'clicks' | 'quarantine';
type Fields = Readonly<Record<string, unknown>>;
export type ExportedClick = { readonly fields: Fields } | { readonly fields: undefined; readonly problem: string };

/** Undefined: not exported by us, or changed since. */
export function kindOf(columns: readonly string[]): ExportKind | undefined {
  if (areSame(columns, clickColumns)) return 'clicks';
  return areSame(columns, quarantineColumns) ? 'quarantine' : undefined;
}

/** `row`: all that it holds, as text or as JSON has it. */
export function exportedClick(kind: ExportKind, row: Fields): ExportedClick {
  if (kind === 'quarantine') return quarantinedClick(row);
  return { fields: Object.fromEntries(Object.entries(row).filter(([, value]) => value !== '')) };
}

/** One without `event_id` has that of its place in the log: as `adclicks quarantine retry` posts it, and any export tells it. */
function quarantinedClick({ raw, partition, offset, line }: Fields): ExportedClick {
  try {
    const json: unknown = JSON.parse(String(raw));
    if (typeof json === 'object' && json !== null && !Array.isArray(json)) {
      const own: Fields = { ...json };
      return { fields: { ...own, event_id: own['event_id'] ?? `quarantine-${partition}-${offset}-${line}` } };
    }
  } catch {
    // It was quarantined for this, maybe.
  }
  return { fields: undefined, problem: 'raw: not a JSON object' };
}

/** In any order. */
function areSame(columns: readonly string[], ours: readonly string[]): boolean {
  return columns.length === ours.length && ours.every(column => columns.includes(column));
}
