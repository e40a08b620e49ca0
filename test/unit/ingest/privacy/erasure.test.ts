import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UnknownFormat } from '../../../../infra/errors.ts';
import { isFuture } from '../../../../ingest/click.ts';
import { ErasureBook } from '../../../../ingest/privacy/erasure-book.ts';
import {
  addressTokenOf,
  erasedUntil,
  erasureRecords,
  formOf,
  readErasure,
} from '../../../../ingest/privacy/erasure-record.ts';
import { eraseInto } from '../../../support/erased-book.ts';

const texts = ['person-4711-jo', 'hashed:abc'];

function take(book: ErasureBook, at: number, of: readonly string[] = texts): string {
  return eraseInto(book, at, ...of);
}

const before = 900;
const hourMs = 3_600_000;

describe('the record of an erasure', () => {
  it('names nobody, and no two of them have a token in common', () => {
    const [one, two] = [new ErasureBook(), new ErasureBook()];
    const { records } = erasureRecords(
      texts.map(text => formOf(text)),
      1,
    );
    const written = JSON.stringify(records);
    for (const text of texts) expect(written).not.toContain(text);
    take(one, 1_000);
    take(two, 1_000);
    const tokens = [one, two].flatMap(book => texts.map(text => book.erasedFor(text, before)?.token));
    expect(new Set(tokens).size).toBe(4);
    for (const token of tokens) expect(token).toMatch(/^erased:[A-Za-z0-9_-]{22}$/);
  });

  it('has the hash that ClickHouse computes of the same bytes, whatever form they have here', () => {
    expect(formOf(Buffer.from('é'))).toBe(formOf('é'));
    expect(formOf('u')).toMatch(/^[0-9a-f]{32}$/);
  });

  it('replaces addresses by ones that reach nobody, equal ones by equal ones', () => {
    expect(addressTokenOf('s', '203.0.113.7')).toMatch(/^fd[0-9a-f]{2}(:[0-9a-f]{4}){7}$/);
    expect(addressTokenOf('s', '203.0.113.7')).toBe(addressTokenOf('s', '203.0.113.7'));
    expect(addressTokenOf('t', '203.0.113.7')).not.toBe(addressTokenOf('s', '203.0.113.7'));
  });

  it('is split where it holds many texts, and is known as one', () => {
    const book = new ErasureBook();
    const many = Array.from({ length: 45_000 }, (_, i) => `u-${i}`);
    const id = take(book, 1_000, many);
    expect(book.get(id)).toMatchObject({ isWhole: true, persons: 45_000, parts: [`${id}/0`, `${id}/1`, `${id}/2`] });
    expect(book.size).toBe(45_003);
    expect(book.erasedFor('u-44999', before)).toBeDefined();
  });

  it('is incomplete while a part is missing', () => {
    const book = new ErasureBook();
    const { id, records } = erasureRecords(
      Array.from({ length: 45_000 }, (_, i) => formOf(`u-${i}`)),
      9,
    );
    const { value, headers } = records[0]!;
    book.take(
      readErasure('erasures', {
        offset: 0,
        timestamp: 1,
        value: Buffer.from(String(value)),
        headers: headers as Record<string, string>,
      }),
    );
    expect(book.get(id)).toMatchObject({ isWhole: false, persons: 9 });
    expect(book.get('0'.repeat(32))).toBeUndefined();
  });

  it('of a newer format stops who does not know it', () => {
    const record = {
      offset: 7,
      timestamp: 1,
      value: Buffer.from('{}'),
      headers: { kind: 'erasure', adclicks_format: '2' },
    };
    expect(() => readErasure('erasures', record)).toThrow(UnknownFormat);
    expect(() => readErasure('erasures', { ...record, headers: { kind: 'erasure' } })).toThrow('offset 7');
  });
});

describe('what is erased', () => {
  it('is whole minutes, up to the last one of which a click may have come before', () => {
    fc.assert(
      fc.property(fc.nat(10 ** 12), at => {
        const until = erasedUntil(at);
        expect(until % 60_000).toBe(0);
        // The newest click that a log takes at that time (`isFuture`) is erased, and no further minute is.
        expect(isFuture(until - 60_000, at)).toBe(false);
        expect(isFuture(until, at)).toBe(true);
      }),
    );
  });

  it('is known by its text, for each erasure by itself', () => {
    const book = new ErasureBook();
    const [first, second] = [take(book, 1_000), take(book, 1_000, ['u-2'])];
    const named = [first, second].map(id => ['person-4711-jo', 'u-2', 'u-3'].map(text => book.get(id)?.names(text)));
    expect(named).toEqual([
      [true, false, false],
      [false, true, false],
    ]);
  });

  it('takes room as often as it is asked for', () => {
    const book = new ErasureBook();
    for (let i = 0; i < 100; i++) take(book, i, ['u-1']);
    expect(book.size).toBe(200);
  });

  it('goes to the first erasure in the log that covers it, and twice read is once', () => {
    const book = new ErasureBook();
    expect(book.newestUntil).toBe(Number.NEGATIVE_INFINITY);
    take(book, 1_000);
    const token = book.erasedFor('person-4711-jo', before)?.token;
    take(book, hourMs);
    expect(book.erasedFor('person-4711-jo', before)?.token).toBe(token);
    const between = book.erasedFor('person-4711-jo', erasedUntil(1_000))?.token;
    expect(between).toMatch(/^erased:/);
    expect(between).not.toBe(token);
    expect(book.erasedFor('person-4711-jo', erasedUntil(hourMs) - 1)?.token).toBe(between);
    expect(book.erasedFor('person-4711-jo', erasedUntil(hourMs))).toBeUndefined();
    expect([book.version, book.newestUntil]).toEqual([2, erasedUntil(hourMs)]);
  });

  it('gets the token of the first erasure also when a node has done that one, and looks for a later one', () => {
    const book = new ErasureBook();
    const ids = [take(book, 1_000), take(book, hourMs), take(book, 2 * hourMs, ['somebody-else'])];
    const forms = book.formsOf(new Set([`${ids[1]}/0`]));
    expect(forms.map(({ until }) => until)).toEqual([1_000, 1_000, hourMs, hourMs].map(erasedUntil));
    expect(forms[0]?.token).toBe(book.erasedFor('person-4711-jo', before)?.token);
  });
});
