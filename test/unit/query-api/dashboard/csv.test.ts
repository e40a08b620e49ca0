import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CsvValue, csvLine } from '../../../../infra/csv.ts';

interface Csv {
  csvOf(columns: readonly string[], rows: readonly (readonly CsvValue[])[]): string;
  tabbedOf(columns: readonly string[], rows: readonly (readonly CsvValue[])[]): string;
}
const path = join(import.meta.dirname, '../../../../query-api/dashboard/csv.js');
const { csvOf, tabbedOf }: Csv = await import(path);

describe('CSV of the dashboard', () => {
  it('is equal to the CSV of the API, byte for byte', () => {
    const value = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.integer(),
      fc.constant(null),
      fc.constantFrom('-Vk3x9', "'=1", '＝1', '\ta'),
    );
    fc.assert(
      fc.property(fc.array(fc.array(value, { minLength: 2, maxLength: 2 })), rows => {
        expect(csvOf(['ad', 'clicks'], rows)).toBe(`ad,clicks\n${rows.map(csvLine).join('')}`);
      }),
    );
  });

  it('for the clipboard has one line for each row, whatever a text contains, and no formula', () => {
    expect(tabbedOf(['ad', 'clicks'], [['=a\tb\nc', 1_035]])).toBe("ad\tclicks\n'=a b c\t1035");
  });
});
