import { describe, expect, it } from 'vitest';
import { UnknownFormat } from '../../../../infra/errors.ts';
import { ErasureBook } from '../../../../ingest/privacy/erasure-book.ts';
import {
  addressTokenOf,
  erasureRecords,
  formOf,
  isBefore,
  readErasure,
} from '../../../../ingest/privacy/erasure-record.ts';
import { eraseInto } from '../../../support/erased-book.ts';

const texts = ['person-4711-jo', 'hashed:abc'];

function take(book: ErasureBook, at: number, of: readonly string[] = texts): string {
  return eraseInto(book, at, ...of);
}

const before = { clickedAt: 900, receivedAt: 950 };

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
    expect(book.forms).toBe(45_000);
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
  it('was clicked before, or received before by a clock that was behind', () => {
    expect(isBefore({ clickedAt: 1_000, receivedAt: 9_000 }, 1_000)).toBe(true);
    expect(isBefore({ clickedAt: 1_001, receivedAt: 1_000 }, 1_000)).toBe(true);
    expect(isBefore({ clickedAt: 1_001, receivedAt: 1_001 }, 1_000)).toBe(false);
    // A foreign line with a broken time of receipt.
    expect(isBefore({ clickedAt: 400_000, receivedAt: 0 }, 1_000)).toBe(false);
  });

  it('goes to the first erasure in the log that covers it, and twice read is once', () => {
    const book = new ErasureBook();
    expect(book.newestAt).toBe(Number.NEGATIVE_INFINITY);
    take(book, 1_000);
    const token = book.erasedFor('person-4711-jo', before)?.token;
    take(book, 2_000);
    expect(book.erasedFor('person-4711-jo', before)?.token).toBe(token);
    const between = book.erasedFor('person-4711-jo', { clickedAt: 1_500, receivedAt: 1_500 })?.token;
    expect(between).toMatch(/^erased:/);
    expect(between).not.toBe(token);
    expect(book.erasedFor('person-4711-jo', { clickedAt: 2_001, receivedAt: 2_001 })).toBeUndefined();
    expect([book.version, book.newestAt]).toEqual([2, 2_000]);
  });
});
