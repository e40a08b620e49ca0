import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { csvLine, marked, unmarked } from '../../../infra/csv.ts';

/** What spreadsheets take for the beginning of a formula, or skip before one. */
const dangerous = /^[=+\-@\t\r\n＝＋－＠]/;
const hostile = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom(...'=+-@＝＋－＠\'"\t\r\n;, a1한') }),
);

describe('a text in CSV', () => {
  it('begins with nothing that a spreadsheet would run, and is restored', () => {
    fc.assert(
      fc.property(hostile, text => {
        expect(marked(text)).not.toMatch(dangerous);
        expect(unmarked(marked(text))).toBe(text);
      }),
    );
  });

  it('keeps an apostrophe of its own', () => {
    for (const text of ["'=1", "''", "'x", "'"])
      expect([marked(text), unmarked(marked(text))]).toEqual([`'${text}`, text]);
  });

  it('is left alone where the rule has not marked it: nothing is taken off that is not ours', () => {
    for (const text of ["'abc", "a'=1", "'", '', 'ad-1', "'한"]) expect(unmarked(text)).toBe(text);
    for (const text of ['ad-1', 'a=1', '1', '', '한', '“']) expect(marked(text)).toBe(text);
  });
});

describe('a line of CSV', () => {
  it('is read back as the same texts, whatever stands in them', () => {
    fc.assert(
      fc.property(fc.array(hostile, { minLength: 1, maxLength: 4 }), texts => {
        const [cells = []] = parse(csvLine(texts), { record_delimiter: '\n', relax_column_count: true });
        expect(cells.map(unmarked)).toEqual(texts);
      }),
    );
  });

  it('has all texts in quotes, so no other separator cuts one, and numbers and nothing bare', () => {
    expect(csvLine(['a;=1', -1, null, undefined, '=1', 'x"y'])).toBe('"a;=1",-1,,,"\'=1","x""y"\n');
  });
});
