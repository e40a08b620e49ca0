/**
 * A cursor is a text that says where a page ended. A client sends it back and does not need to understand it. It contains
 * the name of its list and a digest of the request's parameters and of whose ads its sender may see. So a cursor of
 * another list, of the same list with other filters, or of another tenant is refused.
 */

import { createHash } from 'node:crypto';
import { type Static, type TSchema, Type } from 'typebox';
import { Value } from 'typebox/value';
import { invalid } from '../../infra/problem.ts';

export const cursorParameter = Type.Optional(
  Type.String({
    maxLength: 1_000,
    description: 'The `next_cursor` of the previous page. All other parameters must be the same.',
  }),
);

/** The parameters `limit` and `cursor` of a list. `rows` is the plural name of its rows. */
export function pageParameters(rows: string, limit: { readonly default: number; readonly maximum: number }) {
  return {
    limit: Type.Optional(Type.Integer({ ...limit, minimum: 1, description: `The most ${rows} on one page.` })),
    cursor: cursorParameter,
  };
}

export const nextCursorField = Type.Union([Type.String(), Type.Null()], {
  description: 'The `cursor` of the next page. Null: this is the last page.',
});

export interface CursorCodec<T> {
  /** `sight` names whose ads the list has (infra/keys/tenant.ts). Undefined: those of all. */
  write(place: T, question: Question, sight: string | undefined): string;
  /** @throws Problem when the text is not a cursor of this list and question, and for these ads */
  read(text: string | undefined, question: Question, sight: string | undefined): T | undefined;
}

/** The parameters that decide what is in the list. The size of a page is not one of them. */
export type Question = Readonly<Record<string, unknown>>;

export function cursorsOf<T extends TSchema>(list: string, shape: T): CursorCodec<Static<T>> {
  const Whole = Type.Tuple([Type.Literal(list), Type.String(), shape]);
  return {
    write(place, question, sight) {
      return Buffer.from(JSON.stringify([list, digestOf(question, sight), place])).toString('base64url');
    },
    read(text, question, sight) {
      if (text === undefined) return undefined;
      const whole = parsed(text);
      if (!Value.Check(Whole, whole))
        throw invalid('cursor', text, 'must be the `next_cursor` of the previous page', 'begin without a cursor');
      const [, asked, place] = whole as [string, string, Static<T>];
      if (asked === digestOf(question, sight)) return place;
      throw invalid(
        'cursor',
        text,
        'must belong to the list that is asked for',
        'use the same parameters as for the previous page',
      );
    },
  };
}

/** Makes a page of `rows`, which were read with one row more than `limit` to see whether another page follows. */
export function pageOf<Row>(
  rows: readonly Row[],
  limit: number,
  cursorOf: (last: Row) => string,
): { readonly rows: readonly Row[]; readonly next_cursor: string | null } {
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return { rows: page, next_cursor: last !== undefined && rows.length > limit ? cursorOf(last) : null };
}

function digestOf(question: Question, sight: string | undefined): string {
  // No parameter has this name.
  const given = Object.entries({ ...question, ' sight': sight }).filter(([, value]) => value !== undefined);
  return createHash('sha256')
    .update(JSON.stringify(given.sort(byName)))
    .digest('base64url')
    .slice(0, 12);
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(Buffer.from(text, 'base64url').toString());
  } catch {
    return undefined;
  }
}
