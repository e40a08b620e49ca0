/** Pure: makes the fields of an answer from sums of clicks. All answers show net beside gross, and this file decides how. */

import { type ClickKind, clicksOf } from '../store/net-and-gross.ts';

/** Sums of the counts, or of raw clicks, which do not say which clicks are invalid, nor which were late. */
interface AdSums {
  /** Distinct clicks, the invalid ones too. */
  readonly count: number;
  readonly duplicates: number;
  readonly invalid: number | null;
}

interface Sums extends AdSums {
  readonly late: number | null;
  readonly invalid_by?: Readonly<Record<string, number>> | undefined;
  readonly rules_lowest?: number | undefined;
  readonly rules_highest?: number | undefined;
}

export interface ShownClicks {
  readonly count: number;
  readonly gross: number;
  /** Null: not known. */
  readonly net: number | null;
  readonly invalid: number | null;
}

export interface ShownCounts extends ShownClicks {
  readonly duplicates: number;
  /** Null: raw clicks do not say it. */
  readonly late: number | null;
  /** Only where reasons are asked for. */
  readonly invalid_by?: Readonly<Record<string, number>>;
  readonly rules?: { readonly lowest: number; readonly highest: number };
}

/** The same from counts, which know everything. */
export interface KnownClicks extends ShownClicks {
  readonly net: number;
  readonly invalid: number;
}

/** Without `kind`, `count` is net, or the number of distinct clicks where net is not known. */
export function shownClicksOf({ count, duplicates, invalid }: AdSums, kind: ClickKind | undefined): ShownClicks {
  if (invalid !== null) return knownClicksOf({ count, duplicates, invalid }, kind);
  const gross = count + duplicates;
  return { count: kind === 'gross' ? gross : count, gross, net: null, invalid: null };
}

export function knownClicksOf(sums: AdSums & { readonly invalid: number }, kind: ClickKind = 'net'): KnownClicks {
  const [gross, net] = [clicksOf(sums, 'gross'), clicksOf(sums, 'net')];
  return { count: kind === 'gross' ? gross : net, gross, net, invalid: sums.invalid };
}

export function shownCountsOf(sums: Sums, kind: ClickKind | undefined): ShownCounts {
  const { duplicates, late, invalid_by, rules_lowest: lowest = 0, rules_highest: highest = 0 } = sums;
  const { count, gross, net, invalid } = shownClicksOf(sums, kind);
  const shown = { count, duplicates, late, gross, net, invalid };
  return invalid_by === undefined ? shown : { ...shown, invalid_by, rules: { lowest, highest } };
}

/** The counts where there are no clicks. */
export const noCounts: Readonly<Record<'counts' | 'raw', ShownCounts>> = {
  counts: shownCountsOf({ count: 0, duplicates: 0, late: 0, invalid: 0 }, undefined),
  raw: shownCountsOf({ count: 0, duplicates: 0, late: null, invalid: null }, undefined),
};

/** Adds up counts that are of different clicks. */
export function totalOf(rows: readonly ShownCounts[], source: 'counts' | 'raw'): ShownCounts {
  return rows.reduce(plus, noCounts[source]);
}

function plus(a: ShownCounts, b: ShownCounts): ShownCounts {
  const sum = (field: 'late' | 'net' | 'invalid') => {
    const [one, other] = [a[field], b[field]];
    return one === null || other === null ? null : one + other;
  };
  const shown = {
    count: a.count + b.count,
    duplicates: a.duplicates + b.duplicates,
    late: sum('late'),
    gross: a.gross + b.gross,
    net: sum('net'),
    invalid: sum('invalid'),
  };
  if (b.invalid_by === undefined || b.rules === undefined) return shown;
  const { lowest, highest } = a.rules ?? b.rules;
  const invalid_by: Record<string, number> = { ...a.invalid_by };
  for (const [reason, clicks] of Object.entries(b.invalid_by)) invalid_by[reason] = (invalid_by[reason] ?? 0) + clicks;
  return {
    ...shown,
    invalid_by,
    rules: { lowest: Math.min(lowest, b.rules.lowest), highest: Math.max(highest, b.rules.highest) },
  };
}
