/** GET /v1/quarantine: what was not counted, by reason, with the newest lines of each. */

import { Type } from 'typebox';
import { explained } from '../../infra/broken-rule.ts';
import type { Http } from '../../infra/http.ts';
import { adIdPattern } from '../../ingest/click.ts';
import { cursorParameter, cursorsOf, nextCursorField, pageOf } from '../cursor.ts';
import { finalityOf } from '../finality.ts';
import { countField, isoOrNull, problems, watermarkField } from '../parameters.ts';
import { quarantineLine, shown } from '../quarantine-line.ts';
import { rawShown } from '../quarantine-queries.ts';
import type { RouteDeps } from '../route-deps.ts';

const whole = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

/** Where the last line of a page stands: append time in epoch ms, partition, offset, line. */
const cursors = cursorsOf('quarantine', Type.Tuple([whole, whole, whole, whole]));

export function routeQuarantine(http: Http, { queries, quarantine }: RouteDeps): void {
  http.get('/v1/quarantine', { schema }, async (request, reply) => {
    const { limit = 20, cursor, ...question } = request.query;
    const { reason, ad_id: adId } = question;
    const after = cursors.read(cursor, question);
    const { watermark } = finalityOf(await queries.progress());
    const [reasons, lines] = await Promise.all([
      quarantine.byReason({ adId }),
      quarantine.samples({ reason, adId }, limit + 1, after),
    ]);
    const page = pageOf(lines, limit, last =>
      cursors.write([last.appended_at, last.partition, last.offset, last.line], question),
    );
    reply.header('cache-control', 'no-cache');
    return {
      watermark: isoOrNull(watermark),
      reasons,
      lines: page.rows.map(shown),
      next_cursor: page.next_cursor,
    };
  });
}

export const quarantineParameters = {
  reason: Type.Optional(
    Type.String({
      pattern: explained(/^[a-z_]{1,40}$/, 'a reason, like too_late: small letters and _').source,
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
  description:
    'Nothing that came into the log is dropped: what cannot be counted is kept here, whole, with the reason. Lines that came too late are counted all the same, by a restatement of their minute.',
  querystring: Type.Object(
    {
      ...quarantineParameters,
      limit: Type.Optional(Type.Integer({ default: 20, minimum: 1, maximum: 1_000, description: 'lines of a page' })),
      cursor: cursorParameter,
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
        next_cursor: nextCursorField,
      },
      { additionalProperties: false },
    ),
    ...problems,
  },
} as const;
