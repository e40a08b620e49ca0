/** Counts as answers show them, for tests in which no click is invalid. */

/** With `duplicates` among its fields, or as the second parameter where an answer does not show them. */
export function allValid<T extends { readonly count: number; readonly duplicates?: number }>(
  counts: T,
  duplicates = counts.duplicates ?? 0,
) {
  return { ...counts, gross: counts.count + duplicates, net: counts.count, invalid: 0 };
}

/** The same of raw clicks, which do not say which are invalid. */
export function ofRaw<T extends { readonly count: number; readonly duplicates?: number }>(
  counts: T,
  duplicates = counts.duplicates ?? 0,
) {
  return { ...counts, gross: counts.count + duplicates, net: null, invalid: null };
}
