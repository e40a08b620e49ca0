/** GET /v1/ads/{ad_id}/restatements: how final counts of an ad were changed, when, and why. */
import { Type } from 'typebox';
import type { Http } from '../../../infra/http.ts';
import { countryPattern } from '../../../ingest/click.ts';
import { seriesRangeOf } from '../../http/asked-range.ts';
import { cursorsOf, nextCursorField, pageOf, pageParameters } from '../../http/cursor.ts';
import {
  AdIdParams,
  asAskedFor,
  askedCountry,
  changeFields,
  countField,
  countryParameter,
  isoOf,
  problems,
  rangeFields,
  rangeParameters,
  timeField,
} from '../../http/parameters.ts';
import type { AdsDeps } from './ads-deps.ts';

/** A cursor contains the last row of its page: the minute in epoch ms, the country and the revision. */
const cursors = cursorsOf(
  'restatements',
  Type.Tuple([
    Type.Integer({ minimum: 0, maximum: 2 ** 32 * 1_000 - 1 }),
    Type.String({ pattern: countryPattern.source }),
    Type.Integer({ minimum: 0, maximum: 65_535 }),
  ]),
);

export function routeRestatements(http: Http, { storeFor, rules }: AdsDeps): void {
  http.get(
    '/v1/ads/:ad_id/restatements',
    { schema, config: { scope: 'read', tenants: 'limited' } },
    async (request, reply) => {
      const { restatements, stated, sight } = storeFor(request);
      const { ad_id } = request.params;
      const { limit = 100, cursor, ...asked } = request.query;
      const { country, order } = asked;
      const question = { ...asked, ad_id };
      // The default is the last 31 days. The last full minute, which is the default elsewhere, cannot be final yet.
      const isAsked = asked.from !== undefined || asked.to !== undefined;
      const range = seriesRangeOf(asked, isAsked ? 'minute' : 'day', rules());
      const [minute, inCountry, revision] = cursors.read(cursor, question, sight) ?? [];
      const after = minute === undefined ? undefined : { minute, country: inCountry ?? '', revision: revision ?? 0 };
      const selection = { ...range, country: askedCountry(country) };
      // Of one moment. Otherwise a page could begin with some rows of a recount and miss others, which no later page has.
      const [total, rows] = await stated.at(
        range,
        async () =>
          await Promise.all([
            restatements.totalOfAd(ad_id, selection),
            restatements.ofAd(ad_id, selection, after, limit + 1, order),
          ]),
      );
      const page = pageOf(rows, limit, last =>
        cursors.write([last.minute, last.country, last.revision], question, sight),
      );
      reply.header('cache-control', 'no-cache');
      return {
        ad_id,
        from: isoOf(range.from),
        to: isoOf(range.to),
        ...(country === undefined ? {} : { country }),
        total,
        restatements: page.rows.map(row => ({ ...row, minute: isoOf(row.minute), at: isoOf(row.at) })),
        next_cursor: page.next_cursor,
      };
    },
  );
}

const schema = {
  tags: ['ads'],
  operationId: 'getRestatements',
  summary: 'How final counts of an ad were changed (without from and to: in the last 31 days)',
  description:
    'Only a job that recounts raw clicks can change a final count. Every change is listed here with the count before and after it.',
  params: AdIdParams,
  querystring: Type.Object(
    {
      ...rangeParameters,
      country: countryParameter,
      order: Type.Optional(
        Type.Enum(['oldest', 'newest'], {
          type: 'string',
          default: 'oldest',
          description:
            'Which minutes come first. Within a minute, rows are ordered by country and revision, or in the reverse order.',
        }),
      ),
      ...pageParameters('rows', { default: 100, maximum: 10_000 }),
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object(
      {
        ad_id: Type.String(),
        ...rangeFields,
        country: Type.Optional(Type.String({ description: asAskedFor })),
        total: Type.Object(
          {
            changes: countField('All changes in the range, on all pages.'),
            added: Type.Integer({
              description: 'Distinct clicks that the changes added, minus clicks that they removed.',
            }),
            added_net: Type.Integer({ description: 'The same for net clicks, which are those to bill.' }),
            added_duplicates: Type.Integer({
              description:
                'The same for duplicates. Copies that came too late are included only if clicks of their minute and country were changed too. Otherwise no recount changes a count for them, and they are lines of the quarantine with the `outcome` `restated`.',
            }),
          },
          { additionalProperties: false },
        ),
        restatements: Type.Array(
          Type.Object(
            {
              minute: timeField('The minute that was restated.'),
              country: Type.String(),
              revision: Type.Integer({
                minimum: 1,
                description: 'The number of the change of this count: 1 is the first.',
              }),
              job: Type.String({ description: 'The job that changed it, see GET /v1/replays/{id}.' }),
              reason: Type.String({
                description:
                  'Why the job was made: `late`, `split` (caps apply to the clicks of a split ad in all partitions together), `replay`, `reconcile`, or `rules` for a replay that judges clicks by other rules.',
              }),
              ...changeFields,
              at: timeField('When the count was changed.'),
            },
            { additionalProperties: false },
          ),
          { description: 'Ordered by minute, country and revision. With `order=newest`, in the reverse order.' },
        ),
        next_cursor: nextCursorField,
      },
      { additionalProperties: false },
    ),
    ...problems,
  },
} as const;
