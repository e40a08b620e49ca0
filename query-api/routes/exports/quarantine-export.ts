/** GET /v1/quarantine/export: every line that was set aside when it came, whole, and what has become of it, as NDJSON or CSV. */
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
  const { clients, exportsOf, exportMinBytesPerSecond: minBytesPerSecond, quarantine, now, rules } = deps;
  const exports = createQuarantineExports(quarantine, { ...exportLimits, minBytesPerSecond });
  http.addHook('preClose', exports.close);
  http.get(
    '/v1/quarantine/export',
    { schema, config: { scope: 'read:personal' }, exposeHeadRoute: false },
    async (request, reply) => {
      const { reason, ad_id: adId, outcome, from, to, format = accepted(request.headers.accept) } = request.query;
      const filter = { reason, adId, outcome, ...spanOf({ from, to }, rules()) };
      const stream = await exportsOf(clients.of(request.raw), async () => {
        const opened = await exports.open(filter, formats[format], why => request.log.warn({ why }, 'export cut off'));
        if (opened) return opened;
        throw new Problem(503, 'busy', 'as many exports run as may: try again', {}, 10);
      });
      reply.header('cache-control', 'no-store');
      reply.header('content-disposition', `attachment; filename="quarantine-${isoOf(now()).slice(0, 10)}.${format}"`);
      return reply.type(formats[format].type).send(stream);
    },
  );
}

function accepted(header: string | undefined): keyof typeof formats {
  return header !== undefined && /\btext\/csv\b/.test(header) && !/\bndjson\b/.test(header) ? 'csv' : 'ndjson';
}

const Lines = {
  type: 'string',
  contentMediaType: 'application/json',
  contentSchema: WholeLine,
  description: 'one object of `contentSchema` per line',
};

const limitMinutes = exportLimits.maxMs / 60_000;
const moment = (description: string) => Type.Optional(Type.String({ description, examples: ['2025-11-22T08:26:00Z'] }));

const schema = {
  tags: ['pipeline'],
  operationId: 'exportQuarantine',
  summary: 'All lines that were set aside when they came, whole, with what has become of them, oldest first',
  description: `NDJSON, or CSV where \`format\` or \`Accept\` asks for it; in CSV, a text that a spreadsheet would run gets an apostrophe before it, by the rule for all CSV (\`GET /v1/exports/clicks\`). Read page by page as the client takes it, and \`outcome\` is as of that page. After ${limitMinutes} minutes it is cut off without the end of a chunked answer, which clients report, and so it is where its client takes too little (EXPORT_MIN_BYTES_PER_SECOND): go on with \`from\` = \`appended_at\` of the last line; \`partition\`, \`offset\` and \`line\` tell those that come twice.`,
  querystring: Type.Object(
    {
      ...quarantineParameters,
      outcome: Type.Optional(outcomeField),
      from: moment('came at or after this, by the broker: RFC 3339 with zone, or epoch milliseconds'),
      to: moment('came before this; never later than now, the default'),
      format: Type.Optional(Type.Enum(['ndjson', 'csv'], { type: 'string', description: 'goes before `Accept`' })),
    },
    { additionalProperties: false },
  ),
  response: {
    200: {
      description: 'the lines',
      content: {
        'application/x-ndjson': { schema: Type.Unsafe<Readable>(Lines) },
        'text/csv': { schema: Type.Unsafe<Readable>(Type.String()) },
      },
    },
    ...problems,
  },
} as const;
