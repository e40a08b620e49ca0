/**
 * CSV bytes → rows. The first row of a file names its columns; `columnOf` says which of them holds which field of a click.
 * Of what we have exported ourselves the texts are restored (infra/csv.ts); elsewhere an apostrophe belongs to the text.
 */
import { Readable } from 'node:stream';
import { type CsvError, parse } from 'csv-parse';
import { unmarked } from '../../infra/csv.ts';
import { ConfigError, messageOf } from '../../infra/errors.ts';
import { type ExportKind, exportedClick, kindOf } from './exported-row.ts';
import { maxLineBytes, type Place } from './ndjson-rows.ts';
import type { Row } from './row.ts';

export const clickFields = ['ad_id', 'clicked_at', 'event_id', 'user_id', 'ip', 'country'] as const;
export type ClickField = (typeof clickFields)[number];

export interface CsvOptions {
  readonly delimiter: string;
  /** Fields not named here are looked for in a column of their own name. */
  readonly columnOf: Readonly<Partial<Record<ClickField, string>>>;
  /** An export of ours, also where its columns are not as they were. */
  readonly isExport?: boolean;
}

/** `header`: names of the columns where `from` is behind the header row; otherwise they are read from the bytes. */
export async function* csvRows(
  chunks: AsyncIterable<Buffer>,
  from: Place,
  { delimiter, columnOf, isExport = false }: CsvOptions,
  header?: readonly string[],
): AsyncGenerator<Row> {
  let columns = header && columnsOf(header, columnOf, isExport);
  let start = from.offset;
  for await (const { record, info } of readRecords(chunks, delimiter)) {
    const end = from.offset + info.bytes;
    if (columns === undefined) {
      columns = columnsOf(record, columnOf, isExport);
    } else {
      yield rowOf(record, columns, { start, end, line: from.line + info.lines });
    }
    start = end;
  }
}

/** The first row. @throws ConfigError if there is none */
export async function readHeader(chunks: AsyncIterable<Buffer>, delimiter: string): Promise<string[]> {
  for await (const { record } of readRecords(chunks, delimiter)) return record;
  throw new ConfigError('the CSV file is empty: its first row must name the columns');
}

/** `--map ad_id=banner,clicked_at=time` */
export function parseMap(text: string): Partial<Record<ClickField, string>> {
  const columnOf: Partial<Record<ClickField, string>> = {};
  for (const pair of text.split(',')) {
    const [name, column] = pair.split(/=(.*)/s).map(part => part.trim());
    const field = clickFields.find(known => known === name);
    if (!field || !column)
      throw new ConfigError(`--map ${pair}: must be field=column, field one of ${clickFields.join(', ')}`);
    columnOf[field] = column;
  }
  return columnOf;
}

interface CsvRecord {
  readonly record: string[];
  readonly info: { readonly bytes: number; readonly lines: number; readonly error?: CsvError };
}

interface Columns {
  readonly indexes: ReadonlyMap<ClickField, number>;
  readonly names: readonly string[];
  readonly kind: ExportKind | undefined;
  readonly areMarked: boolean;
}

async function* readRecords(chunks: AsyncIterable<Buffer>, delimiter: string): AsyncGenerator<CsvRecord> {
  const parser = parse({
    delimiter,
    info: true,
    bom: true,
    record_delimiter: ['\r\n', '\n'],
    relax_column_count: true,
    relax_quotes: true,
    skip_empty_lines: true,
    max_record_size: maxLineBytes,
  });
  const source = Readable.from(chunks);
  source.on('error', error => parser.destroy(error));
  source.pipe(parser);
  try {
    yield* parser;
  } catch (error) {
    throw new ConfigError(`the CSV cannot be read on: ${messageOf(error)}`, { cause: error });
  } finally {
    source.destroy();
  }
}

function columnsOf(header: readonly string[], columnOf: CsvOptions['columnOf'], isExport: boolean): Columns {
  const indexes = new Map<ClickField, number>();
  for (const field of clickFields) {
    const index = header.indexOf(columnOf[field] ?? field);
    if (index >= 0) indexes.set(field, index);
    else if (columnOf[field])
      throw new ConfigError(`--map ${field}=${columnOf[field]}: the columns are ${header.join(', ')}`);
  }
  for (const field of ['ad_id', 'clicked_at'] as const) {
    if (!indexes.has(field))
      throw new ConfigError(`no column ${field} (the columns are ${header.join(', ')}): say --map ${field}=<column>`);
  }
  const kind = kindOf(header);
  return { indexes, names: header, kind, areMarked: isExport || kind !== undefined };
}

function rowOf(
  record: readonly string[],
  { indexes, names, kind, areMarked }: Columns,
  place: Pick<Row, 'line' | 'start' | 'end'>,
): Row {
  const raw = JSON.stringify(record);
  if (record.length !== names.length) {
    const problem = `${record.length} columns where the header has ${names.length}`;
    return { ...place, raw, fields: undefined, problem };
  }
  if (kind === 'quarantine') {
    const row = Object.fromEntries(names.map((name, i) => [name, unmarked(record[i] ?? '')]));
    return { ...place, raw, ...exportedClick(kind, row) };
  }
  const fields: Record<string, unknown> = {};
  for (const [field, index] of indexes) {
    const cell = record[index] ?? '';
    const text = areMarked ? unmarked(cell) : cell;
    if (text) fields[field] = field === 'clicked_at' && /^\d+$/.test(text) ? Number(text) : text;
  }
  return { ...place, raw, fields };
}
