/**
 * Reads CSV, whose first line that is not blank names the columns.
 *
 * A line is a record, so a quote that is never closed costs its own line and no other. Where records may span several
 * lines (`multiline`, and our own exports), lines are joined only if they form a valid record with as many cells as
 * there are columns. Otherwise the first of them is a reject, and the next one begins a new record. The texts of our
 * own exports are restored (infra/csv.ts). In other files an apostrophe is part of the text.
 */
import { unmarked } from '../../infra/csv.ts';
import { ConfigError } from '../../infra/errors.ts';
import { cellParser, delimiterOf, type ParseCells, unclosed } from './csv-cells.ts';
import { type ExportKind, exportedRow, kindOf } from './exported-row.ts';
import { type Entry, entryOf, type Format, type Row } from './format.ts';
import { type Line, maxLineBytes } from './line.ts';

export interface CsvOptions {
  /** Undefined means the most frequent one in the header. */
  readonly delimiter: string | undefined;
  readonly multiline: boolean;
  /** The file is one of our own exports, even if its columns were changed. */
  readonly isExport: boolean;
  /** The header of the file that this one continues, or undefined when this one has its own. */
  readonly header: string | undefined;
  /** Returns what is missing among columns of these names, as a sentence. */
  readonly missing: (names: readonly string[]) => string | undefined;
}

interface Header {
  readonly text: string;
  readonly names: readonly string[];
  readonly parse: ParseCells;
  readonly trim: boolean;
  readonly kind: ExportKind | undefined;
}

const maxRecordLines = 1_000;

export function csvFormat(options: CsvOptions): Format {
  const rows = createRows(options);
  let held: HeldLine[] = [];

  const entries = (isEnd: boolean): Entry[] => {
    const found: Entry[] = [];
    while (held.length > 0) {
      const taken = nextEntry(held, rows, isEnd);
      if (!taken) break;
      held = held.slice(taken[0]);
      found.push(taken[1]);
    }
    return found;
  };
  return {
    read(line) {
      held.push({ line, quotes: line.text.split('"').length - 1 });
      return entries(false);
    },
    flush: () => entries(true),
    isWhole: () => false,
    get header() {
      return rows.header?.text;
    },
  };
}

interface HeldLine {
  readonly line: Line;
  readonly quotes: number;
}

/**
 * Returns how many of the held lines form an entry, and which one. Undefined means that the next line must be seen
 * first.
 */
function nextEntry(held: readonly HeldLine[], rows: Rows, isEnd: boolean): readonly [number, Entry] | undefined {
  const first = held[0]!.line;
  const alone = entryOf([first], text => (rows.isHeader(text) ? undefined : rows.rowOf(text)));
  if (!rows.isMultiline || alone.row === undefined || first.problem || held[0]!.quotes % 2 === 0) return [1, alone];
  let quotes = 0;
  let bytes = 0;
  const closedAt = held.findIndex(each => {
    quotes += each.quotes;
    bytes += each.line.bytes.length;
    return quotes % 2 === 0;
  });
  if (closedAt > 0 && bytes <= maxLineBytes) {
    const rest = held.slice(1, closedAt + 1).map(({ line }) => line);
    const joined = entryOf([first, ...rest], text => rows.rowOf(text, false));
    if (joined.row && 'columns' in joined.row) return [closedAt + 1, joined];
  } else if (closedAt < 0 && !isEnd && held.length < maxRecordLines && bytes <= maxLineBytes) {
    return undefined;
  }
  return [1, { ...alone, row: { problem: unclosed } }];
}

/** What a text is, by the header: a header itself, or a row with these columns. */
interface Rows {
  readonly header: Header | undefined;
  /** Whether a record may span several lines. */
  readonly isMultiline: boolean;
  /** Also true for a second header, in files that were joined. @throws ConfigError where the first line is none */
  isHeader(text: string): boolean;
  rowOf(text: string, relaxed?: boolean): Row;
}

function createRows(options: CsvOptions): Rows {
  let header = knownHeader(options);
  let hasBegun = false;
  return {
    get header() {
      return header;
    },
    get isMultiline() {
      return options.multiline || header?.kind !== undefined;
    },
    isHeader(text) {
      const isFirst = !hasBegun;
      hasBegun = true;
      if (text === header?.text) return true;
      if (!isFirst) return false;
      const own = headerOf(text, options);
      const missing = 'problem' in own ? `the header of the CSV: ${own.problem}` : options.missing(own.names);
      // A file that continues another one may have none.
      if (missing && header) return false;
      if (missing || 'problem' in own) throw new ConfigError(missing ?? 'the CSV has no header');
      header = own;
      return true;
    },
    rowOf(text, relaxed = true) {
      const { names, parse, trim, kind } = header!;
      const parsed = parse(text, { trim, relaxed });
      if ('problem' in parsed) return parsed;
      const { cells } = parsed;
      if (cells.length !== names.length)
        return { problem: `${cells.length} columns where the header has ${names.length}` };
      const areMarked = options.isExport || kind !== undefined;
      const columns = Object.fromEntries(names.map((name, i) => [name, areMarked ? unmarked(cells[i]!) : cells[i]!]));
      return kind === undefined ? { columns } : exportedRow(kind, columns);
    },
  };
}

function knownHeader(options: CsvOptions): Header | undefined {
  const known = options.header === undefined ? undefined : headerOf(options.header, options);
  return known && 'names' in known ? known : undefined;
}

function headerOf(text: string, { delimiter = delimiterOf(text) }: CsvOptions): Header | { readonly problem: string } {
  const parse = cellParser(delimiter);
  const parsed = parse(text, { trim: false, relaxed: true });
  if ('problem' in parsed) return parsed;
  const names = parsed.cells.map(cell => cell.trim());
  // A writer that puts blanks around the names also puts them around the cells.
  const trim = parsed.cells.some((cell, i) => cell !== names[i]);
  return { text, names, parse, trim, kind: kindOf(names) };
}
