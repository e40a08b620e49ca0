/**
 * Answers lists as CSV or NDJSON when a request has `Accept: text/csv` or `application/x-ndjson`. Such an answer contains
 * only the rows. Each row gets `state`, `pending_late`, `pending_split` and `watermark` of the answer, unless it has its own. The headers
 * `x-state`, `x-pending-late`, `x-pending-split`, `x-watermark` and `x-next-cursor` have the same values.
 */
import type { Http } from '../../infra/http.ts';
import { givingWay, type Slices } from '../../infra/slices.ts';
import { acceptedFormat, headOf, lineOf, mediaTypes, type Row } from '../store/row-format.ts';

interface Table {
  readonly rows: (body: Row) => Iterable<Row>;
  /** The columns when there are no rows. Otherwise the columns are the fields of the first row. */
  readonly columns: readonly string[];
}

const clicks = ['count', 'gross', 'net', 'invalid'];
const counts = ['count', 'duplicates', 'late', 'gross', 'net', 'invalid'];
const ranks: Table = { rows: body => listOf(body, 'ads'), columns: ['rank', 'ad_id', ...clicks] };

/** By route. */
const tables: Readonly<Record<string, Table>> = {
  '/v1/ads/popular_ads': ranks,
  '/v1/ads/most_clicked': ranks,
  '/v1/ads/countries': { rows: body => listOf(body, 'countries'), columns: ['country', ...counts] },
  '/v1/ads/:ad_id/series': {
    rows: body => pointsOf(body),
    columns: ['ad_id', 'start', ...counts, 'state', 'pending_late', 'pending_split'],
  },
  '/v1/ads/series': {
    rows: allPointsOf,
    columns: ['ad_id', 'start', ...counts, 'state', 'pending_late', 'pending_split'],
  },
  '/v1/ads/:ad_id/restatements': {
    rows: body => listOf(body, 'restatements').map(row => ({ ad_id: body['ad_id'], ...row })),
    columns: [
      ...[
        'ad_id',
        'minute',
        'country',
        'revision',
        'job',
        'reason',
        'before',
        'after',
        'before_net',
        'after_net',
        'before_rules',
        'after_rules',
        'at',
      ],
    ],
  },
  '/v1/audit': {
    rows: body => listOf(body, 'entries'),
    columns: [
      ...['id', 'at', 'until', 'kind', 'by', 'name', 'subject', 'from', 'action', 'parameters', 'requests', 'status'],
    ],
  },
};

export function answerRows(http: Http): void {
  http.addHook('preSerialization', async (request, reply, payload) => {
    const table = tables[request.routeOptions.url ?? ''];
    if (table === undefined || reply.statusCode !== 200 || !isRow(payload)) return payload;
    reply.header('vary', 'accept');
    const format = acceptedFormat(request.headers.accept, ['csv', 'ndjson', 'json'], 'json');
    if (format === 'json') return payload;
    const standing = ['state', 'pending_late', 'pending_split', 'watermark'].filter(field => field in payload);
    for (const field of [...standing, 'next_cursor']) {
      const value = payload[field];
      if (typeof value === 'string' || typeof value === 'number') reply.header(`x-${field.replace('_', '-')}`, value);
    }
    const own = Object.fromEntries(standing.map(field => [field, payload[field]]));
    const withOwn = (row: Row) => ({ ...row, ...own, ...row });
    reply.type(`${mediaTypes[format]}; charset=utf-8`).serializer((text: string) => text);
    const columnsOfNone = [...new Set([...table.columns, ...standing])];
    return await givingWay(written(table.rows(payload), withOwn, columnsOfNone, format));
  });
}

/** A long series has tens of thousands of rows. */
function* written(
  rows: Iterable<Row>,
  withOwn: (row: Row) => Row,
  columnsOfNone: readonly string[],
  format: 'csv' | 'ndjson',
): Slices<string> {
  const headIn = (columns: readonly string[]) => (format === 'csv' ? headOf(columns) : '');
  let columns: readonly string[] | undefined;
  let text = '';
  let count = 0;
  for (const row of rows) {
    if (++count % rowsInSlice === 0) yield;
    const whole = withOwn(row);
    if (columns === undefined) {
      columns = Object.keys(whole);
      text = headIn(columns);
    }
    text += lineOf(whole, columns, format);
  }
  return columns === undefined ? headIn(columnsOfNone) : text;
}

const rowsInSlice = 500;

function* allPointsOf(body: Row): Generator<Row> {
  for (const series of listOf(body, 'series')) yield* pointsOf(series);
}

function* pointsOf(series: Row): Generator<Row> {
  for (const point of listOf(series, 'points')) yield { ad_id: series['ad_id'], ...point };
}

function listOf(body: Row, field: string): Row[] {
  const list = body[field];
  return Array.isArray(list) ? list.filter(isRow) : [];
}

function isRow(value: unknown): value is Row {
  return typeof value === 'object' && value !== null;
}
