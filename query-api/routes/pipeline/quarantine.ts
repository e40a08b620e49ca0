/** GET /v1/quarantine: what was set aside, by reason and by what has become of it, with the newest lines. */
import { Type } from 'typebox';
import { explained } from '../../../infra/broken-rule.ts';
import type { Http } from '../../../infra/http.ts';
import { adIdPattern } from '../../../ingest/click.ts';
import { outcomeField, quarantineLine, shown } from '../../answers/quarantine-line.ts';
import { type RangeRules, rangeOf } from '../../http/asked-range.ts';
import { cursorParameter, cursorsOf, nextCursorField, pageOf } from '../../http/cursor.ts';
import { countField, isoOrNull, problems, watermarkField } from '../../http/parameters.ts';
import { finalityOf } from '../../store/finality.ts';
import type { Store } from '../../store/open-store.ts';
import { rawShown } from '../../store/quarantine.ts';

const whole = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

/** Where the last line of a page stands: append time in epoch ms, partition, offset, line. */
const cursors = cursorsOf('quarantine', Type.Tuple([whole, whole, whole, whole]));

export interface QuarantineRoutesDeps extends Pick<Store, 'quarantine' | 'queries'> {
  readonly rules: () => RangeRules;
}

export function routeQuarantine(http: Http, { queries, quarantine, rules }: QuarantineRoutesDeps): void {
  http.get('/v1/quarantine', { schema, config: { scope: 'read:personal' } }, async (request, reply) => {
    const { limit = 20, cursor, ...question } = request.query;
    const { reason, ad_id: adId, outcome, clicked_from: from, clicked_to: to } = question;
    const isAsked = from !== undefined || to !== undefined;
    const clicked = isAsked ? rangeOf({ from, to }, rules(), clickedFields) : undefined;
    const after = cursors.read(cursor, question);
    const { watermark } = finalityOf(await queries.progress());
    const [reasons, lines] = await Promise.all([
      quarantine.byReason({ adId, clicked }),
      quarantine.samples({ reason, adId, outcome, clicked }, limit + 1, after),
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

const clickedFields = { from: 'clicked_from', to: 'clicked_to' } as const;

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

const ShownLine = quarantineLine(Type.String({ description: `the line as it came, its first ${rawShown} characters` }));

const schema = {
  tags: ['pipeline'],
  operationId: 'getQuarantine',
  summary:
    'Lines that were set aside when they came: how many by reason and by what has become of them, and the newest',
  description:
    'Nothing that came into the log is dropped: what cannot be counted is kept here, whole, with the reason. Lines that came too late are counted all the same, by a restatement of their minute: `outcome` tells which of them are. With `clicked_from` and `clicked_to` all of it is of the clicks of those minutes.',
  querystring: Type.Object(
    {
      ...quarantineParameters,
      outcome: Type.Optional(outcomeField),
      clicked_from: Type.Optional(
        Type.String({
          description:
            'only clicks of this minute or later ones, by `clicked_at`: RFC 3339 with zone, or epoch milliseconds',
          examples: ['2025-11-22T08:26:00Z'],
        }),
      ),
      clicked_to: Type.Optional(
        Type.String({ description: 'only clicks of minutes before this one: as `clicked_from`' }),
      ),
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
            {
              reason: Type.String(),
              lines: countField('lines that are still kept'),
              restated: countField('those of them that a restatement has counted since, or found to be copies'),
              waiting: countField('those that wait for their restatement'),
              not_counted: countField('those that are in no count, and will be in none'),
            },
            { additionalProperties: false },
          ),
          { description: 'most lines first, whatever `reason` and `outcome` were asked for' },
        ),
        lines: Type.Array(ShownLine, { description: 'newest first' }),
        next_cursor: nextCursorField,
      },
      { additionalProperties: false },
    ),
    ...problems,
  },
} as const;
