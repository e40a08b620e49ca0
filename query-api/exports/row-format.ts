/** Pure: which format of rows is asked for, and rows as lines of CSV or JSON. */

export const mediaTypes = {
  csv: 'text/csv',
  ndjson: 'application/x-ndjson',
  parquet: 'application/vnd.apache.parquet',
} as const;
export type RowFormat = keyof typeof mediaTypes;

/** The first of `Accept`'s types with the highest weight that is one of ours, or `otherwise` if any type will do better. */
export function acceptedFormat<T extends RowFormat | 'json'>(
  accept: string | undefined,
  offered: readonly T[],
  otherwise: T,
): T {
  const wanted = (accept ?? '')
    .split(',')
    .map(text => {
      const [type = '', ...parameters] = text.split(';').map(part => part.trim().toLowerCase());
      const weight = parameters.find(part => part.startsWith('q='))?.slice(2);
      return { type, weight: weight === undefined ? 1 : Number(weight) || 0 };
    })
    .filter(({ weight }) => weight > 0)
    .sort((a, b) => b.weight - a.weight);
  for (const { type } of wanted) {
    if (type === '*/*' || type === 'application/json') return otherwise;
    const found = offered.find(format => format !== 'json' && mediaTypes[format as RowFormat] === type);
    if (found !== undefined) return found;
  }
  return otherwise;
}

export type Row = Readonly<Record<string, unknown>>;

export function linesOf(rows: readonly Row[], columns: readonly string[], format: 'csv' | 'ndjson'): string {
  if (format === 'ndjson') return rows.map(row => `${JSON.stringify(row)}\n`).join('');
  const line = (cells: readonly unknown[]) => `${cells.map(cellOf).join(',')}\n`;
  return line(columns) + rows.map(row => line(columns.map(column => row[column]))).join('');
}

/** RFC 4180, with LF. Nothing that begins as a formula is left to a spreadsheet to run. */
function cellOf(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') return String(value);
  const text = /^[=+\-@\t\r']/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
