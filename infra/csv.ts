/**
 * Writes CSV as every part of the product does, and restores what `npm run feed` reads back.
 *
 * No spreadsheet may run what somebody has put into an id, and nothing may be lost. So a text that begins with one of
 * `= + - @`, their full-width forms, a tab, CR, LF or an apostrophe gets one apostrophe before it. Because a text that
 * begins with an apostrophe gets one too, removing it restores every text: `unmarked(marked(text)) === text`.
 *
 * Every text is in quotes (RFC 4180). Otherwise a spreadsheet that separates at `;` or tabs could find a formula behind
 * one. Numbers are without quotes, and lines end in LF.
 *
 * ClickHouse writes exports of millions of rows, three times as fast as JavaScript could, and JavaScript writes short
 * lists. The expression and the functions are made from the same pattern, and a test compares the bytes of both on a
 * real ClickHouse.
 */
import { type Sql, sql } from './clickhouse/sql.ts';

const first = [..."=+-@＝＋－＠\t\r\n'"];
/** JavaScript and RE2, with which ClickHouse matches, read this pattern in the same way. */
const pattern = `[${first.join('').replace('-', '\\-')}]`;
const needsMark = new RegExp(`^${pattern}`);
const isMarked = new RegExp(`^'${pattern}`);

export type CsvValue = string | number | null | undefined;

/** Returns the line with its LF. Null and undefined become nothing between two commas. */
export function csvLine(values: readonly CsvValue[]): string {
  return `${values.map(cellOf).join(',')}\n`;
}

export function marked(text: string): string {
  return needsMark.test(text) ? `'${text}` : text;
}

/** Restores the text from which `marked` made this cell. A text that `marked` never produces stays unchanged. */
export function unmarked(cell: string): string {
  return isMarked.test(cell) ? cell.slice(1) : cell;
}

/**
 * Applies `marked` to a column of type String, in SQL whose result ClickHouse writes as CSV. For nearly all texts the
 * first byte decides, and only the others are matched, so exports stay fast (test/bench/export-csv.ts).
 */
export function markedColumn(column: Sql): Sql {
  const bytes = [...new Set(first.map(character => Buffer.from(character)[0] ?? 0))];
  const isFound = sql`ascii(${column}) IN ${bytes} AND match(${column}, ${`^${pattern}`})`;
  return sql`concat(if(${isFound}, ${"'"}, ''), ${column})`;
}

function cellOf(value: CsvValue): string {
  if (value === null || value === undefined) return '';
  return typeof value === 'number' ? String(value) : `"${marked(value).replaceAll('"', '""')}"`;
}
