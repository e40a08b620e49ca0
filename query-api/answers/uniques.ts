/** How many users clicked: exactly where memory allows, else estimated, and which of the two. */
import { Type } from 'typebox';
import { countField } from '../http/parameters.ts';
import type { ExactUsers, RawCounts, RawQueries, RawSelection } from '../store/raw-counts.ts';

/** Users of all rows of an answer up to which they are counted exactly. */
export const maxExactUsers = 1_000_000;

export const uniquesParameter = Type.Optional(
  Type.Boolean({
    default: false,
    description: `also how many users clicked; all of the answer is counted from raw clicks then, which are kept 35 days. Exact up to ${maxExactUsers} users in all rows of the answer`,
  }),
);

export const uniquesField = Type.Optional(
  Type.Object(
    {
      count: countField('distinct users; clicks without user_id are left out'),
      is_exact: Type.Boolean({
        description: `false: estimated, as there are more than ${maxExactUsers}; error below 1 %`,
      }),
    },
    { additionalProperties: false, description: 'with `uniques=true`' },
  ),
);

export interface Uniques {
  readonly count: number;
  readonly is_exact: boolean;
}

export interface CountedUniques {
  /** By name of the row. */
  readonly of: ReadonlyMap<string, Uniques>;
  /** Whether clicks came in between two readings, so that counts and users are not of the same moment. */
  readonly hasMoved: boolean;
}

/** Of rows that were read just now, with what they are called. */
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
