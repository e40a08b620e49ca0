/** GET /v1/quarantine/export: streams whole lines of the quarantine, and what became of each, as NDJSON or CSV. */
import type { Readable } from 'node:stream';
import { Type } from 'typebox';
import { type Http, Problem } from '../../../infra/http.ts';
import { csvHead, csvRow, outcomeField, shown, WholeLine } from '../../answers/quarantine-line.ts';
import { spanOf } from '../../http/asked-range.ts';
import { isoOf, problems } from '../../http/parameters.ts';
import type { JudgedLine } from '../../store/quarantine.ts';
import { quarantineParameters } from '../pipeline/quarantine.ts';
import type { ExportDeps } from './export-deps.ts';
import { createQuarantineExports, exportLimits } from './quarantine-pages.ts';

const formats = {
  ndjson: {
    type: 'application/x-ndjson; charset=utf-8',
    head: '',
    row: (line: JudgedLine) => `${JSON.stringify(shown(line))}\n`,
  },
  csv: { type: 'text/csv; charset=utf-8', head: csvHead, row: (line: JudgedLine) => csvRow(shown(line)) },
} as const;

export function routeQuarantineExport(http: Http, deps: ExportDeps): void {
  const { clients, storeFor, exportsOf, exportMinBytesPerSecond: minBytesPerSecond, now, rules } = deps;
  const exports = createQuarantineExports({ ...exportLimits, minBytesPerSecond });
  http.addHook('preClose', exports.close);
  const options = { schema, config: { scope: 'read:personal', tenants: 'limited' }, exposeHeadRoute: false } as const;
  http.get('/v1/quarantine/export', options, async (request, reply) => {
    const { quarantine } = storeFor(request);
    const { reason, ad_id: adId, outcome, from, to, format = accepted(request.headers.accept) } = request.query;
    const filter = { reason, adId, outcome, ...spanOf({ from, to }, rules()) };
    const stream = await exportsOf(clients.of(request.raw), request.apiKey, async () => {
      const cut = (why: string) => request.log.warn({ why }, 'export cut off');
      const opened = await exports.open(quarantine, filter, formats[format], cut);
      if (opened) return opened;
      throw new Problem(503, 'busy', 'too many exports of the quarantine are running: try again', {}, 10);
    });
    reply.header('cache-control', 'no-store');
    reply.header('content-disposition', `attachment; filename="quarantine-${isoOf(now()).slice(0, 10)}.${format}"`);
    return reply.type(formats[format].type).send(stream);
  });
}

function accepted(header: string | undefined): keyof typeof formats {
  return header !== undefined && /\btext\/csv\b/.test(header) && !/\bndjson\b/.test(header) ? 'csv' : 'ndjson';
}

const Lines = {
  type: 'string',
  contentMediaType: 'application/json',
  contentSchema: WholeLine,
  description: 'Each line is one object of `contentSchema`.',
};

const limitMinutes = exportLimits.maxMs / 60_000;
const moment = (description: string) => Type.Optional(Type.String({ description, examples: ['2025-11-22T08:26:00Z'] }));

const schema = {
  tags: ['pipeline'],
  operationId: 'exportQuarantine',
  summary: 'All lines of the quarantine, whole and with what became of them, oldest first',
  description: `The format is NDJSON, or CSV if \`format\` or \`Accept\` asks for it. In CSV, a text that a spreadsheet would run gets an apostrophe before it, by the rule for all CSV (see \`GET /v1/exports/clicks\`). The lines are read page by page while the client reads them, and \`outcome\` is that of the moment when the page was read. The export is cut off after ${limitMinutes} minutes, or if its client reads too slowly (EXPORT_MIN_BYTES_PER_SECOND). Then the chunked answer has no end, which HTTP clients report as an error. To continue, ask again with \`from\` = \`appended_at\` of the last line. Some lines then come twice: \`partition\`, \`offset\` and \`line\` identify them.`,
  querystring: Type.Object(
    {
      ...quarantineParameters,
      outcome: Type.Optional(outcomeField),
      from: moment(
        'Only lines that the broker appended at this time or later, as RFC 3339 with a zone or as epoch milliseconds.',
      ),
      to: moment('Only lines that the broker appended before this time. Default, and latest: now.'),
      format: Type.Optional(
        Type.Enum(['ndjson', 'csv'], { type: 'string', description: 'The format. It overrides the header `Accept`.' }),
      ),
    },
    { additionalProperties: false },
  ),
  response: {
    200: {
      description: 'The lines.',
      content: {
        'application/x-ndjson': { schema: Type.Unsafe<Readable>(Lines) },
        'text/csv': { schema: Type.Unsafe<Readable>(Type.String()) },
      },
    },
    ...problems,
  },
} as const;
