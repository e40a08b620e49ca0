/** GET /v1/quarantine: what was not counted, by reason, with the newest lines of each. */
import { Type } from 'typebox';
import type { Http } from '../../infra/http.ts';
import { adIdPattern } from '../../ingest/click.ts';
import { finalityOf } from '../finality.ts';
import { countField, isoOrNull, problems, watermarkField } from '../parameters.ts';
import { quarantineLine, shown } from '../quarantine-line.ts';
import { rawShown } from '../quarantine-queries.ts';
import type { RouteDeps } from '../route-deps.ts';

export function routeQuarantine(http: Http, { queries, quarantine }: RouteDeps): void {
  http.get('/v1/quarantine', { schema }, async (request, reply) => {
    const { reason, ad_id: adId, limit = 20 } = request.query;
    const { watermark } = finalityOf(await queries.progress());
    const [reasons, lines] = await Promise.all([
      quarantine.byReason({ adId }),
      quarantine.samples({ reason, adId }, limit),
    ]);
    reply.header('cache-control', 'no-store');
    return { watermark: isoOrNull(watermark), reasons, lines: lines.map(shown) };
  });
}

export const quarantineParameters = {
  reason: Type.Optional(
    Type.String({
      pattern: '^[a-z_]{1,40}$',
      description: 'only lines with this reason: `malformed`, `future`, `too_late`',
      examples: ['too_late'],
    }),
  ),
  ad_id: Type.Optional(Type.String({ pattern: adIdPattern.source, description: 'only of this ad' })),
};

const schema = {
  tags: ['pipeline'],
  operationId: 'getQuarantine',
  summary: 'Lines that were not counted: how many by reason, and the newest of them',
  querystring: Type.Object(
    {
      ...quarantineParameters,
      limit: Type.Optional(Type.Integer({ default: 20, minimum: 1, maximum: 1_000, description: 'lines to list' })),
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object(
      {
        watermark: watermarkField,
        reasons: Type.Array(
          Type.Object(
            { reason: Type.String(), lines: countField('lines that are still kept') },
            { additionalProperties: false },
          ),
          { description: 'most lines first, whatever `reason` was asked for' },
        ),
        lines: Type.Array(
          quarantineLine(Type.String({ description: `the line as it came, its first ${rawShown} characters` })),
          { description: 'newest first' },
        ),
      },
      { additionalProperties: false },
    ),
    ...problems,
  },
} as const;
