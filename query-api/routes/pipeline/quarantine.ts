/** GET /v1/quarantine: counts the lines of the quarantine by reason and outcome, and lists the newest ones. */
import { Type } from 'typebox';
import { explained } from '../../../infra/broken-rule.ts';
import type { Http } from '../../../infra/http.ts';
import { adIdPattern } from '../../../ingest/click.ts';
import { outcomeField, quarantineLine, shown } from '../../answers/quarantine-line.ts';
import { type RangeRules, rangeOf } from '../../http/asked-range.ts';
import { cursorsOf, nextCursorField, pageOf, pageParameters } from '../../http/cursor.ts';
import { countField, isoOrNull, problems, watermarkField } from '../../http/parameters.ts';
import type { StoreFor } from '../../http/store-for.ts';
import { finalityOf } from '../../store/finality.ts';
import { rawShown } from '../../store/quarantine.ts';

const whole = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

/** A cursor contains the last line of its page: its append time in epoch ms, partition, offset and line. */
const cursors = cursorsOf('quarantine', Type.Tuple([whole, whole, whole, whole]));

export interface QuarantineRoutesDeps {
  readonly storeFor: StoreFor;
  readonly rules: () => RangeRules;
}

export function routeQuarantine(http: Http, { storeFor, rules }: QuarantineRoutesDeps): void {
  http.get(
    '/v1/quarantine',
    { schema, config: { scope: 'read:personal', tenants: 'limited' } },
    async (request, reply) => {
      const { queries, quarantine, sight } = storeFor(request);
      const { limit = 20, cursor, ...question } = request.query;
      const { reason, ad_id: adId, outcome, clicked_from: from, clicked_to: to } = question;
      const isAsked = from !== undefined || to !== undefined;
      const clicked = isAsked ? rangeOf({ from, to }, rules(), clickedFields) : undefined;
      const after = cursors.read(cursor, question, sight);
      const { watermark } = finalityOf(await queries.progress());
      const [reasons, lines] = await Promise.all([
        quarantine.byReason({ adId, clicked }),
        quarantine.samples({ reason, adId, outcome, clicked }, limit + 1, after),
      ]);
      const page = pageOf(lines, limit, last =>
        cursors.write([last.appended_at, last.partition, last.offset, last.line], question, sight),
      );
      reply.header('cache-control', 'no-cache');
      return {
        watermark: isoOrNull(watermark),
        reasons,
        lines: page.rows.map(shown),
        next_cursor: page.next_cursor,
      };
    },
  );
}

const clickedFields = { from: 'clicked_from', to: 'clicked_to' } as const;

export const quarantineParameters = {
  reason: Type.Optional(
    Type.String({
      pattern: explained(/^[a-z_]{1,40}$/, 'a reason such as too_late, which has only small letters and _').source,
      description: 'Only lines with this reason, such as `malformed`, `future`, `too_late` or `refused`.',
      examples: ['too_late'],
    }),
  ),
  ad_id: Type.Optional(Type.String({ pattern: adIdPattern.source, description: 'Only lines of this ad.' })),
};

const ShownLine = quarantineLine(
  Type.String({ description: `The first ${rawShown} characters of the line as it came.` }),
);

const schema = {
  tags: ['pipeline'],
  operationId: 'getQuarantine',
  summary: 'Lines of the quarantine: how many by reason and by what became of them, and the newest ones',
  description:
    'Nothing in the log is thrown away. A line that cannot be counted when it comes is kept here, whole and with the reason. Lines that came too late are counted later by a restatement of their minute. Their `outcome` says whether that has happened. With `clicked_from` and `clicked_to`, the whole answer is about clicks of these minutes.',
  querystring: Type.Object(
    {
      ...quarantineParameters,
      outcome: Type.Optional(outcomeField),
      clicked_from: Type.Optional(
        Type.String({
          description:
            'Only clicks whose `clicked_at` is in this minute or later, as RFC 3339 with a zone or as epoch milliseconds.',
          examples: ['2025-11-22T08:26:00Z'],
        }),
      ),
      clicked_to: Type.Optional(
        Type.String({
          description: 'Only clicks whose `clicked_at` is before this minute, in the form of `clicked_from`.',
        }),
      ),
      ...pageParameters('lines', { default: 20, maximum: 1_000 }),
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
              lines: countField('Lines that are still kept.'),
              restated: countField('How many of them a restatement has counted since, or has found to be copies.'),
              waiting: countField('How many of them wait for their restatement.'),
              not_counted: countField('How many of them are in no count, and stay so.'),
            },
            { additionalProperties: false },
          ),
          {
            description:
              'All reasons, ordered by lines, most first. The parameters `reason` and `outcome` do not change this list.',
          },
        ),
        lines: Type.Array(ShownLine, { description: 'The newest come first.' }),
        next_cursor: nextCursorField,
      },
      { additionalProperties: false },
    ),
    ...problems,
  },
} as const;
