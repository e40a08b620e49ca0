/** Describes rows as the sink inserts them, and separates the two forms of lines that one table may get. */

/**
 * Tables and NDJSON pieces of their rows, in the order of insertion. `columns` are those of rows that are arrays, where
 * these are not all columns of the table. One leg of the sink always has the same tables and columns.
 */
export type TableRows = Iterable<readonly [table: string, rows: readonly Buffer[], columns?: readonly string[]]>;

/**
 * Separates objects from arrays, because one INSERT statement takes one format: an aggregator from before decision 011
 * wrote objects. A piece that begins with neither bracket continues the line of the piece before it, and has its form. The
 * order of rows does not matter.
 */
export function byForm(pieces: readonly Buffer[]): Buffer[][] {
  const [objects, arrays]: [Buffer[], Buffer[]] = [[], []];
  let form = objects;
  for (const piece of pieces) {
    if (piece[0] === openingBrace) form = objects;
    else if (piece[0] === openingBracket) form = arrays;
    form.push(piece);
  }
  return [objects, arrays].filter(({ length }) => length > 0);
}

const [openingBrace, openingBracket] = [0x7b, 0x5b];
