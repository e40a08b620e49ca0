/**
 * Where a page ended, as a text that a client hands back and need not understand. It names what it is a cursor of and
 * the question it belongs to, so that one of another list, or of the same list with other filters, is refused.
 */

import { createHash } from 'node:crypto';
import { type Static, type TSchema, Type } from 'typebox';
import { Value } from 'typebox/value';
import { invalid } from '../../infra/problem.ts';

export const cursorParameter = Type.Optional(
  Type.String({ maxLength: 1_000, description: '`next_cursor` of the page before, with the same other parameters' }),
);

/** `limit` and `cursor` of a list whose rows are called `rows`. */
export function pageParameters(rows: string, limit: { readonly default: number; readonly maximum: number }) {
  return {
    limit: Type.Optional(Type.Integer({ ...limit, minimum: 1, description: `${rows} of a page` })),
    cursor: cursorParameter,
  };
}

export const nextCursorField = Type.Union([Type.String(), Type.Null()], {
  description: '`cursor` of the next page; null: this is the last',
});

export interface CursorCodec<T> {
  write(place: T, question: Question): string;
  /** @throws Problem where the text is no cursor of this list and question */
  read(text: string | undefined, question: Question): T | undefined;
}

/** The parameters that decide what the list holds; not how many of it a page has. */
export type Question = Readonly<Record<string, unknown>>;

export function cursorsOf<T extends TSchema>(list: string, shape: T): CursorCodec<Static<T>> {
  const Whole = Type.Tuple([Type.Literal(list), Type.String(), shape]);
  return {
    write(place, question) {
      return Buffer.from(JSON.stringify([list, digestOf(question), place])).toString('base64url');
    },
    read(text, question) {
      if (text === undefined) return undefined;
      const whole = parsed(text);
      if (!Value.Check(Whole, whole))
        throw invalid('cursor', text, 'must be `next_cursor` of the page before', 'begin with no cursor');
      const [, asked, place] = whole as [string, string, Static<T>];
      if (asked === digestOf(question)) return place;
      throw invalid(
        'cursor',
        text,
        'must belong to the list that is asked for',
        'give the parameters of the page before',
      );
    },
  };
}

/** One row more than a page was asked for: whether there is a next one. */
export function pageOf<Row>(
  rows: readonly Row[],
  limit: number,
  cursorOf: (last: Row) => string,
): { readonly rows: readonly Row[]; readonly next_cursor: string | null } {
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return { rows: page, next_cursor: last !== undefined && rows.length > limit ? cursorOf(last) : null };
}

function digestOf(question: Question): string {
  const given = Object.entries(question).filter(([, value]) => value !== undefined);
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
