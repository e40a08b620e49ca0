/** Pure: chooses the format of rows that a client asks for, and writes rows as lines of CSV or JSON. */
import { type CsvValue, csvLine } from '../../infra/csv.ts';

export const mediaTypes = {
  csv: 'text/csv',
  ndjson: 'application/x-ndjson',
  parquet: 'application/vnd.apache.parquet',
} as const;
export type RowFormat = keyof typeof mediaTypes;

/**
 * Returns the supported type with the highest weight in `Accept`, and the first of several with the same weight. Returns
 * `otherwise` when none is supported, or when any type or JSON has a higher weight.
 */
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
  return (format === 'csv' ? headOf(columns) : '') + rows.map(row => lineOf(row, columns, format)).join('');
}

export function lineOf(row: Row, columns: readonly string[], format: 'csv' | 'ndjson'): string {
  return format === 'ndjson' ? `${JSON.stringify(row)}\n` : csvLine(columns.map(column => cellOf(row[column])));
}

/** The names of our own columns need no quoting. */
export function headOf(columns: readonly string[]): string {
  return `${columns.join(',')}\n`;
}

function cellOf(value: unknown): CsvValue {
  if (value === undefined || value === null) return null;
  return typeof value === 'number' || typeof value === 'string' ? value : JSON.stringify(value);
}
