/** Pure: conditions on the country, the user and the address of a click. All conditions of a filter must hold. */
import { explained } from '../../../infra/broken-rule.ts';

/** A range of IPv6 addresses. IPv4 addresses are part of it as `::ffff:0:0/96`. */
export interface AddressRange {
  readonly address: string;
  /** Number of leading bits, out of 128. */
  readonly prefix: number;
}

interface ListCondition<T> {
  /** `in`: an entry of the list must match. `out`: no entry may match. */
  readonly side: 'in' | 'out';
  readonly list: readonly T[];
}

export type Condition =
  | ({ readonly kind: 'country' } & ListCondition<string>)
  | ({ readonly kind: 'ip' } & ListCondition<AddressRange>)
  /** Patterns for LIKE of SQL. */
  | ({ readonly kind: 'user' } & ListCondition<string>);

export type ClickFilter = readonly Condition[];

/** The countries to count, in the form that a selection of counts needs. */
export interface CountryLists {
  /** Undefined for all countries. */
  readonly in: readonly string[] | undefined;
  readonly out: readonly string[];
}

/** Returns whether only raw clicks can answer the filter. A filter by country alone is answered from counts. */
export function needsRaw(filter: ClickFilter): boolean {
  return filter.some(({ kind }) => kind !== 'country');
}

/** Returns the countries of the filter, or undefined for all. A single country is returned as its code. */
export function countryOf(filter: ClickFilter): string | CountryLists | undefined {
  const countries = filter.filter(condition => condition.kind === 'country');
  if (countries.length === 0) return undefined;
  const lists = (side: 'in' | 'out') => countries.filter(one => one.side === side).map(({ list }) => new Set(list));
  const all = lists('in');
  const [first, ...others] = all;
  const named = first && [...others.reduce((left, set) => left.intersection(set), first)];
  const out = [...lists('out').reduce((left, set) => left.union(set), new Set<string>())];
  return named?.length === 1 && out.length === 0 ? named[0] : { in: named, out };
}

/** Returns a pattern for LIKE. In the given pattern, `*` stands for any characters. */
export function likeOf(pattern: string): string {
  return exactly(pattern).replaceAll('*', '%');
}

/** Returns a pattern for LIKE that matches exactly this text. */
export function exactly(text: string): string {
  return text.replace(/[\\%_]/g, '\\$&');
}

/** Any code of a letter and a letter or digit is allowed, because rows of earlier releases may have any such code. */
export const askedCountryPattern = explained(
  /^[A-Za-z][A-Za-z0-9]$/,
  'two letters, as ISO 3166-1 alpha-2 has them, or ZZ for unknown',
);
