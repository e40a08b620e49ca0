/** GET /v1/exports/…: streams all rows of a range as CSV, NDJSON or one Parquet file. */

import type { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type TSchema, Type } from 'typebox';
import { type Http, Problem } from '../../../infra/http.ts';
import { invalid } from '../../../infra/problem.ts';
import { sameCountry } from '../../../ingest/country.ts';
import { rangeOf } from '../../http/asked-range.ts';
import {
  adIdsParameter,
  countField,
  countryParameter,
  isoOf,
  problems,
  rangeParameters,
  stateField,
  timeField,
} from '../../http/parameters.ts';
import type { ExportSelection } from '../../store/exports.ts';
import { finalityOf } from '../../store/finality.ts';
import { pendingOf, readPending } from '../../store/pending.ts';
import { acceptedFormat, mediaTypes, type RowFormat } from '../../store/row-format.ts';
import type { Stated, StatedReading } from '../../store/sql/stated-rows.ts';
import type { TimeRange } from '../../time/time-range.ts';
import type { ExportDeps } from './export-deps.ts';

export function routeExports(http: Http, deps: ExportDeps): void {
  const { clients, storeFor, exportsOf, exportSlots, exportMaxRows, rules } = deps;
  const check = (rows: number, to: string | undefined) => {
    if (rows > exportMaxRows)
      throw invalid(
        'to',
        to,
        `must give a range with at most ${exportMaxRows} rows, and gives one with ${rows}`,
        'export a shorter range',
      );
  };
  const open = (request: FastifyRequest, begin: () => AsyncIterable<Uint8Array>): Promise<Readable> =>
    exportsOf(clients.of(request.raw), request.apiKey, async () => {
      const opened = await exportSlots.open(begin, why => request.log.warn({ why }, 'export cut off'));
      if (opened) return opened;
      throw new Problem(503, 'exports_busy', 'too many exports are running (EXPORT_MAX_RUNNING): try again', {}, 10);
    });

  const ofMinutes = {
    schema: minutesSchema,
    config: { scope: 'read', tenants: 'limited', audit: 'read' },
    exposeHeadRoute: false,
  } as const;
  // Without HEAD, whose answer would read all rows for nobody, and keep the client's place while it does.
  http.get('/v1/exports/ad_minutes', ofMinutes, async (request, reply) => {
    const store = storeFor(request);
    const { exports, stated } = store;
    const { ad_id: adIds = [], country, to } = request.query;
    const countries = country === undefined ? [] : sameCountry(country);
    const selection = { ...rangeOf(request.query, rules()), countries, adIds };
    const format = formatOf(request, request.query.format);
    // Progress is read before the rows. So the rows can only be newer than it, and none is called final too early.
    const { progress, pending } = await readPending(store);
    const { finalUntil, watermark } = finalityOf(progress);
    const { pending_late, pending_split } = pendingOf(pending, adIds)(selection);
    check(await exports.adMinuteRows(selection), to);
    if (watermark !== null) reply.header('x-watermark', isoOf(watermark));
    if (finalUntil !== null) reply.header('x-final-until', isoOf(finalUntil));
    reply.header('x-pending-late', pending_late);
    if (pending_split !== null) reply.header('x-pending-split', pending_split);
    const rows = await open(request, () =>
      readAtOnce(stated, selection, known => exports.adMinutes({ ...selection, ...known }, finalUntil, format)),
    );
    return sendAs(reply, 'ad_minutes', selection, format).send(rows);
  });

  http.get(
    '/v1/exports/clicks',
    { schema: clicksSchema, config: { scope: 'read:personal', tenants: 'limited' }, exposeHeadRoute: false },
    async (request, reply) => {
      const { exports } = storeFor(request);
      const { ad_id: adIds = [], to } = request.query;
      const selection = { ...rangeOf(request.query, rules()), countries: [], adIds };
      const format = formatOf(request, request.query.format);
      check(await exports.clickRows(selection), to);
      const rows = await open(request, () => exports.clicks(selection, format));
      return sendAs(reply, 'clicks', selection, format).send(rows);
    },
  );
}

function formatOf({ headers }: FastifyRequest, asked: RowFormat | undefined): RowFormat {
  return asked ?? acceptedFormat(headers.accept, ['csv', 'ndjson', 'parquet'], 'csv');
}

function sendAs(reply: FastifyReply, what: string, { from, to }: ExportSelection, format: RowFormat): FastifyReply {
  const [since, until] = [from, to].map(at => isoOf(at).slice(0, 16).replace(/[-:]/g, ''));
  return reply
    .header('cache-control', 'no-store')
    .header('vary', 'accept')
    .header('content-disposition', `attachment; filename="${what}-${since}-${until}.${format}"`)
    .type(format === 'parquet' ? mediaTypes[format] : `${mediaTypes[format]}; charset=utf-8`);
}

/** Reads what is visible when the read begins. All rows are of that moment, however long the client takes to read them. */
async function* readAtOnce(
  stated: StatedReading,
  range: TimeRange,
  open: (known: Stated) => AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const begun = await stated.begin(
    range,
    async known => {
      const pieces = open(known)[Symbol.asyncIterator]();
      return { pieces, first: await pieces.next() };
    },
    async ({ pieces }) => void (await pieces.return?.()),
  );
  try {
    for (let piece = begun.first; !piece.done; piece = await begun.pieces.next()) yield piece.value;
  } finally {
    await begun.pieces.return?.();
  }
}

const formatParameter = Type.Optional(
  Type.Enum(['csv', 'ndjson', 'parquet'], {
    type: 'string',
    description: 'The format. It overrides the header `Accept`. Default: csv.',
  }),
);

const stringField = (description: string) => Type.String({ description });

const MinuteRow = Type.Object(
  {
    minute: timeField('The minute.'),
    ad_id: Type.String(),
    country: Type.String(),
    partition: countField('The partition of the log.'),
    clicks: countField('Distinct clicks, the invalid ones too.'),
    duplicates: countField('Further copies of these clicks, which are not counted.'),
    late: countField('How many of the clicks came after their minute had closed.'),
    revision: countField('How often the count was restated.'),
    state: stateField,
    gross: countField('All clicks with their copies: duplicates + invalid + net.'),
    net: countField('Distinct clicks without the invalid ones, which are those to bill.'),
    invalid: countField('Distinct clicks that a rule of invalid traffic leaves out of `net`.'),
    invalid_by: Type.Record(Type.String(), Type.Integer({ minimum: 1 }), {
      description: 'The invalid clicks by the rule that each broke. In CSV, a text in JSON.',
    }),
    rules: countField('The version of the rules by which the clicks were judged. 0: by none, so all are valid.'),
  },
  { additionalProperties: false },
);

const ClickRow = Type.Object(
  {
    click_id: stringField('The id that ingest gave to this copy.'),
    event_id: stringField('The event id of the click.'),
    ad_id: Type.String(),
    clicked_at: timeField('The event time.'),
    received_at: timeField('When ingest received it.'),
    country: Type.String(),
    user_id: stringField('As the client sent it.'),
    ip: stringField('As the client sent it.'),
  },
  { additionalProperties: false },
);

function producesRows(row: TSchema) {
  const description = 'The rows, or one Parquet file. An answer that breaks off is incomplete.';
  const lines = Type.String({ contentSchema: row, description: 'Each line is one object of `contentSchema`.' });
  const content = {
    [mediaTypes.csv]: { schema: Type.String({ description: 'The same columns, with a header line.' }) },
    [mediaTypes.ndjson]: { schema: lines },
    [mediaTypes.parquet]: { schema: Type.String({ description: 'The same columns.' }) },
  };
  return { 200: { description, content }, ...problems };
}

const minutesSchema = {
  tags: ['exports'],
  operationId: 'exportAdMinutes',
  summary: 'Counts by minute, ad, country and partition (without from and to: of the last full minute)',
  description:
    'Columns: minute, ad_id, country, partition, clicks, duplicates, late, revision (0: never restated), state, gross, net (which is billed), invalid, invalid_by, rules. Rows are ordered by minute, or by ad_id if ads are named. The header `x-pending-late` says how many late clicks of the selection wait for their restatement.',
  querystring: Type.Object(
    { ...rangeParameters, country: countryParameter, ad_id: adIdsParameter, format: formatParameter },
    { additionalProperties: false },
  ),
  response: producesRows(MinuteRow),
} as const;

const clicksSchema = {
  tags: ['exports'],
  operationId: 'exportClicks',
  summary: 'Accepted clicks and their copies (without from and to: of the last full minute)',
  description:
    "Columns: click_id, event_id, ad_id, clicked_at, received_at, country, user_id, ip. In CSV, a text that begins with = + - @ (also full-width), a tab, CR, LF or ' gets an additional ' before it, so that no spreadsheet runs it. To get the original text, remove one ' that stands before one of these characters. `npm run feed` does this by itself. NDJSON and Parquet contain the original texts.",
  querystring: Type.Object(
    { ...rangeParameters, ad_id: adIdsParameter, format: formatParameter },
    { additionalProperties: false },
  ),
  response: producesRows(ClickRow),
} as const;
