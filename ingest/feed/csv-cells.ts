/** Splits one record of CSV into its cells: with csv-parse, or at a tenth of the cost when no cell contains a quote. */
import { CsvError, parse } from 'csv-parse/sync';

export interface CellOptions {
  /** Whether blanks around cells without quotes are removed. */
  readonly trim: boolean;
  /** Whether a quote inside a cell without quotes is an ordinary character. */
  readonly relaxed: boolean;
}

export type ParseCells = (
  text: string,
  options: CellOptions,
) => { readonly cells: string[] } | { readonly problem: string };

/** `delimiter` is one character. */
export function cellParser(delimiter: string): ParseCells {
  const separator = `\\u${delimiter.charCodeAt(0).toString(16).padStart(4, '0')}`;
  const cell = new RegExp(`(?:"([^"]*)"|([^"${separator}]*))(?:(${separator})|$)`, 'y');
  const simpleCells = (text: string, trim: boolean): string[] | undefined => {
    const cells: string[] = [];
    cell.lastIndex = 0;
    for (;;) {
      const found = cell.exec(text);
      if (!found) return undefined;
      const [, quoted, plain = '', more] = found;
      cells.push(quoted ?? (trim ? plain.trim() : plain));
      if (more === undefined) return cells;
    }
  };
  return (text, { trim, relaxed }) => {
    const simple = simpleCells(text, trim);
    if (simple) return { cells: simple };
    try {
      // Only the end of the text ends a record. Which lines belong together was decided before.
      const records = parse(text, {
        delimiter,
        trim,
        relax_quotes: relaxed,
        relax_column_count: true,
        record_delimiter: '\0\n',
      });
      return { cells: records[0] ?? [] };
    } catch (error) {
      if (!(error instanceof CsvError)) throw error;
      const isOpen = error.code === 'CSV_QUOTE_NOT_CLOSED';
      return { problem: isOpen ? unclosed : `not CSV: ${error.message}` };
    }
  };
}

export const unclosed = 'a quote is not closed on its line (use --multiline if records may span several lines)';

export function delimiterOf(header: string): string {
  const bare = header.replaceAll(/"[^"]*"/g, '');
  const counts = [',', ';', '\t', '|'].map(delimiter => ({ delimiter, count: bare.split(delimiter).length }));
  return counts.reduce((best, each) => (each.count > best.count ? each : best)).delimiter;
}
