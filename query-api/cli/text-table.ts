/** Rows → aligned text. Numbers stand at the right. Pure. */
import { stripVTControlCharacters } from 'node:util';

export interface Column {
  readonly title: string;
  readonly isNumber?: boolean;
}

/** Ends with a newline; nothing where there are no rows. Colours in a cell take no room. */
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

/** `name  value` for each pair, the values under each other. */
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
