/** Counts how many users clicked: exactly if memory allows it, otherwise as an estimate. The answer says which. */
import { Type } from 'typebox';
import { countField } from '../http/parameters.ts';
import type { ExactUsers, RawCounts, RawQueries, RawSelection } from '../store/raw-counts.ts';

/** Up to this number of users in all rows of an answer, they are counted exactly. */
export const maxExactUsers = 1_000_000;

export const uniquesParameter = Type.Optional(
  Type.Boolean({
    default: false,
    description: `Adds how many users clicked. Then the whole answer is counted from raw clicks, which are kept for 35 days. Exact up to ${maxExactUsers} users in all rows of the answer. While a person is being erased, they may be counted as two users until that is done (GET /v1/erasures/{id}).`,
  }),
);

export const uniquesField = Type.Optional(
  Type.Object(
    {
      count: countField('Distinct users. Clicks without `user_id` are not included.'),
      is_exact: Type.Boolean({
        description: `False: the number is an estimate with an error below 1 %, because there are more than ${maxExactUsers} users.`,
      }),
    },
    { additionalProperties: false, description: 'Only with `uniques=true`.' },
  ),
);

export interface Uniques {
  readonly count: number;
  readonly is_exact: boolean;
}

export interface CountedUniques {
  /** Keyed by the name of the row. */
  readonly of: ReadonlyMap<string, Uniques>;
  /** Whether clicks came between the two reads, so that counts and users are not of the same moment. */
  readonly hasMoved: boolean;
}

/** Counts the users of rows that were just read. `name` says which row a number belongs to. */
export async function uniquesOf(
  raw: Pick<RawQueries, 'exactUsers'>,
  by: 'ad' | 'country' | 'all',
  selection: RawSelection,
  rows: readonly (RawCounts & { readonly name: string })[],
): Promise<CountedUniques> {
  const estimated = rows.reduce((sum, { users }) => sum + users, 0);
  if (rows.length === 0 || estimated > maxExactUsers) {
    return { of: new Map(rows.map(({ name, users }) => [name, { count: users, is_exact: false }])), hasMoved: false };
  }
  const found = new Map<string, ExactUsers>();
  for (const row of await raw.exactUsers(by, selection)) found.set(row.name, row);
  return {
    of: new Map(rows.map(({ name }) => [name, { count: found.get(name)?.users ?? 0, is_exact: true }])),
    hasMoved: rows.some(({ name, count }) => (found.get(name)?.count ?? 0) !== count),
  };
}
