/** Pure: what may be asked of a click's country, user and address. All conditions of a filter must hold. */
import { explained } from '../../../infra/broken-rule.ts';

/** Addresses as IPv6, where those of IPv4 stand under `::ffff:0:0/96`. */
export interface AddressRange {
  readonly address: string;
  /** Of 128 bits. */
  readonly prefix: number;
}

interface ListCondition<T> {
  /** `in`: one of the list must match; `out`: none may. */
  readonly side: 'in' | 'out';
  readonly list: readonly T[];
}

export type Condition =
  | ({ readonly kind: 'country' } & ListCondition<string>)
  | ({ readonly kind: 'ip' } & ListCondition<AddressRange>)
  /** Patterns as SQL's LIKE has them. */
  | ({ readonly kind: 'user' } & ListCondition<string>);

export type ClickFilter = readonly Condition[];

/** Countries to count, in the form that a selection of counts takes. */
export interface CountryLists {
  /** Undefined: all. */
  readonly in: readonly string[] | undefined;
  readonly out: readonly string[];
}

/** Whether counts by country cannot answer it, but only the clicks themselves. */
export function needsRaw(filter: ClickFilter): boolean {
  return filter.some(({ kind }) => kind !== 'country');
}

/** The filter's countries; undefined: all. One that is asked for alone is said so. */
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

/** A pattern with `*` for any characters → SQL's LIKE. */
export function likeOf(pattern: string): string {
  return exactly(pattern).replaceAll('*', '%');
}

/** LIKE of a text in which nothing stands for anything else. */
export function exactly(text: string): string {
  return text.replace(/[\\%_]/g, '\\$&');
}

/** Rows of earlier releases have any two letters. */
export const askedCountryPattern = explained(
  /^[A-Za-z][A-Za-z0-9]$/,
  'two letters, as ISO 3166-1 alpha-2 has them, or ZZ for unknown',
);
