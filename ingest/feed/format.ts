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
  /** As it stands in the file, without its last line end. */
  readonly text: string;
  /** Undefined: no row. */
  readonly row: Row | undefined;
}

export interface Format {
  /** The entries that are now complete. */
  read(line: Line): Entry[];
  /** Nothing more comes: entries of what was held back. */
  flush(): Entry[];
  /** Whether a line without its newline is all there, by what it says itself. */
  isWhole(text: string): boolean;
  /** The line that names the columns, where there is one: whoever goes on in the middle must know it. */
  readonly header: string | undefined;
}

/** A format in which each line is for itself. */
export function lineFormat(rowOf: (text: string) => Row | undefined): Format {
  return {
    read: line => [entryOf([line], rowOf)],
    flush: () => [],
    isWhole: () => false,
    header: undefined,
  };
}

/** `rowOf` is asked where the line can be read and is not blank. */
export function entryOf(lines: readonly [Line, ...Line[]], rowOf: (text: string) => Row | undefined): Entry {
  const [first] = lines;
  const last = lines.at(-1) ?? first;
  const joined = lines.length === 1 ? first.text : lines.map(line => line.text).join('\n');
  const text = joined.endsWith('\r') ? joined.slice(0, -1) : joined;
  const problem = lines.find(line => line.problem !== undefined)?.problem;
  const isBlank = problem === undefined && text.trim() === '';
  return { first, last, text, row: problem ? { problem } : isBlank ? undefined : rowOf(text) };
}
