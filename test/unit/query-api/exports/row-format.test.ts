import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { marked, unmarked } from '../../../../infra/csv.ts';
import { acceptedFormat, linesOf } from '../../../../query-api/store/row-format.ts';

describe('the format asked for', () => {
  it.each([
    [undefined, 'json'],
    ['*/*', 'json'],
    ['text/csv', 'csv'],
    ['TEXT/CSV; charset=utf-8', 'csv'],
    ['application/json, text/csv', 'json'],
    ['application/json;q=0.5, text/csv', 'csv'],
    ['text/csv;q=0, application/x-ndjson', 'ndjson'],
    ['text/html, application/x-ndjson;q=0.9, */*;q=0.1', 'ndjson'],
    ['image/png', 'json'],
  ])('of Accept %s is %s', (accept, format) => {
    expect(acceptedFormat(accept, ['csv', 'ndjson', 'json'], 'json')).toBe(format);
  });
});

describe('rows as CSV', () => {
  it('can be read back unchanged, by the rule for all CSV', () => {
    const text = fc.oneof(fc.string(), fc.constantFrom('=1', '＋1', '-1', '@a', "'x", 'a,b', '"', 'a\nb', '\r'));
    fc.assert(
      fc.property(fc.array(fc.record({ a: text, b: text }), { minLength: 1 }), rows => {
        const cells = parse<Record<string, string>>(linesOf(rows, ['a', 'b'], 'csv'), {
          columns: true,
          record_delimiter: '\n',
        });
        expect(cells.map(({ a = '', b = '' }) => ({ a: unmarked(a), b: unmarked(b) }))).toEqual(rows);
        for (const cell of cells.flatMap(row => Object.values(row))) expect(cell).toBe(marked(unmarked(cell)));
      }),
    );
  });

  it('have nothing for null, numbers unchanged, and lists and objects as JSON', () => {
    expect(linesOf([{ a: null, b: -1, c: { users: 3 } }], ['a', 'b', 'c', 'd'], 'csv')).toBe(
      'a,b,c,d\n,-1,"{""users"":3}",\n',
    );
  });
});
