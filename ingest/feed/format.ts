/**
 * Defines what a format makes of lines.
 *
 * Every line ends up in exactly one entry, in order and without a gap. That is half of the law that accepted + rejected
 * + skipped = rows of the file (feed-books.ts checks it in every run).
 *
 * In NDJSON and access logs, a row is each line that is not blank. In CSV it is each line that is neither blank nor the
 * header; with `--multiline`, and in our own exports, it is each record. Directives (`#Fields:`) are not rows.
 */
import type { Line } from './line.ts';

export const formatNames = ['combined', 'cloudfront', 'alb', 'w3c', 'csv', 'ndjson'] as const;
export type FormatName = (typeof formatNames)[number];

export type Columns = Readonly<Record<string, unknown>>;
export type Row = { readonly columns: Columns } | { readonly problem: string };

export interface Entry {
  readonly first: Line;
  readonly last: Line;
  /** The text in the file, without its last line end. */
  readonly text: string;
  /** Undefined when the entry is not a row. */
  readonly row: Row | undefined;
}

export interface Format {
  /** Returns the entries that are now complete. */
  read(line: Line): Entry[];
  /** No more lines come. Returns the entries that were held back. */
  flush(): Entry[];
  /** Whether the text of a line without newline shows that it is complete. */
  isWhole(text: string): boolean;
  /** The line that names the columns, if there is one. Reading on from the middle requires it. */
  readonly header: string | undefined;
}

/** A format in which each line is an entry of its own. */
export function lineFormat(rowOf: (text: string) => Row | undefined): Format {
  return {
    read: line => [entryOf([line], rowOf)],
    flush: () => [],
    isWhole: () => false,
    header: undefined,
  };
}

/** `rowOf` is called when the line can be read and is not blank. */
export function entryOf(lines: readonly [Line, ...Line[]], rowOf: (text: string) => Row | undefined): Entry {
  const [first] = lines;
  const last = lines.at(-1) ?? first;
  const joined = lines.length === 1 ? first.text : lines.map(line => line.text).join('\n');
  const text = joined.endsWith('\r') ? joined.slice(0, -1) : joined;
  const problem = lines.find(line => line.problem !== undefined)?.problem;
  const isBlank = problem === undefined && text.trim() === '';
  return { first, last, text, row: problem ? { problem } : isBlank ? undefined : rowOf(text) };
}
