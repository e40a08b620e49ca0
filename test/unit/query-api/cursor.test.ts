import fc from 'fast-check';
import { Type } from 'typebox';
import { describe, expect, it } from 'vitest';
import { Problem } from '../../../infra/http.ts';
import { cursorsOf, pageOf } from '../../../query-api/http/cursor.ts';

const cursors = cursorsOf('list', Type.Tuple([Type.Integer({ minimum: 0 }), Type.String()]));
const question = fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.integer(), fc.constant(undefined)));

describe('a cursor', () => {
  it('is read as it was written, for the same question in any order, and fits into a URL without encoding', () => {
    fc.assert(
      fc.property(fc.nat(), fc.string({ unit: 'grapheme' }), question, (count, name, asked) => {
        const text = cursors.write([count, name], asked, undefined);
        expect(text).toMatch(/^[A-Za-z0-9_-]+$/);
        const reordered = Object.fromEntries(Object.entries(asked).reverse());
        expect(cursors.read(text, { ...reordered, absent: undefined }, undefined)).toEqual([count, name]);
      }),
    );
  });

  it('is refused for another question, for another list, and if it is not a cursor, always with a problem', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.base64String(), fc.json().map(encoded)), text => {
        expect(() => cursors.read(text, {}, undefined)).toThrow(Problem);
      }),
    );
    const text = cursors.write([1, 'a'], { country: 'KR' }, undefined);
    expect(() => cursors.read(text, {}, undefined)).toThrow(/^cursor is ".*", but must belong to the list/);
    const other = cursorsOf('other', Type.Tuple([Type.Integer(), Type.String()]));
    expect(() => other.read(text, { country: 'KR' }, undefined)).toThrow(
      /^cursor is ".*", but must be the `next_cursor`/,
    );
  });

  it('exists only when a row follows the page', () => {
    expect(pageOf([1, 2, 3], 2, String)).toEqual({ rows: [1, 2], next_cursor: '2' });
    expect(pageOf([1, 2], 2, String)).toEqual({ rows: [1, 2], next_cursor: null });
    expect(pageOf([], 2, String)).toEqual({ rows: [], next_cursor: null });
  });

  function encoded(text: string): string {
    return Buffer.from(text).toString('base64url');
  }
});
