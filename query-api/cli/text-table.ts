/** Aligns rows as text. Numbers are aligned at the right. Pure. */
import { stripVTControlCharacters } from 'node:util';

export interface Column {
  readonly title: string;
  readonly isNumber?: boolean;
}

/** Ends with a newline. Without rows it is empty. Colour codes do not count for the width of a cell. */
export function textTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const lines = [columns.map(({ title }) => title), ...rows];
  const widths = columns.map((_, at) => Math.max(...lines.map(line => widthOf(line[at] ?? ''))));
  const text = lines.map(line =>
    columns
      .map(({ isNumber = false }, at) => padded(line[at] ?? '', widths[at] ?? 0, isNumber))
      .join('  ')
      .trimEnd(),
  );
  return `${text.join('\n')}\n`;
}

/** One line `name  value` for each pair, with aligned values. */
export function textPairs(pairs: readonly (readonly [string, string])[]): string {
  const width = Math.max(0, ...pairs.map(([name]) => widthOf(name)));
  return pairs.map(([name, value]) => `${padded(name, width, false)}  ${value}\n`).join('');
}

function padded(text: string, width: number, isNumber: boolean): string {
  const room = ' '.repeat(Math.max(0, width - widthOf(text)));
  return isNumber ? `${room}${text}` : `${text}${room}`;
}

function widthOf(text: string): number {
  return stripVTControlCharacters(text).length;
}
