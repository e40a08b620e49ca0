/** GET /v1/ads/{ad_id}/restatements: how the final counts of an ad were changed, when and why. */
import { Type } from 'typebox';
import type { Http } from '../../../infra/http.ts';
import { countryPattern } from '../../../ingest/click.ts';
import { seriesRangeOf } from '../../http/asked-range.ts';
import { cursorParameter, cursorsOf, nextCursorField, pageOf } from '../../http/cursor.ts';
import {
  AdIdParams,
  askedCountry,
  countField,
  countryParameter,
  isoOf,
  problems,
  rangeParameters,
  timeField,
} from '../../http/parameters.ts';
import type { AdsDeps } from './ads-deps.ts';

/** The last row of a page: minute in epoch ms, country, revision. */
const cursors = cursorsOf(
  'restatements',
  Type.Tuple([
    Type.Integer({ minimum: 0, maximum: 2 ** 32 * 1_000 - 1 }),
    Type.String({ pattern: countryPattern.source }),
    Type.Integer({ minimum: 0, maximum: 65_535 }),
  ]),
);

export function routeRestatements(http: Http, { restatements, rules }: AdsDeps): void {
  http.get('/v1/ads/:ad_id/restatements', { schema, config: { scope: 'read' } }, async (request, reply) => {
    const { ad_id } = request.params;
    const { limit = 100, cursor, ...asked } = request.query;
    const { country, order } = asked;
    const question = { ...asked, ad_id };
    // Without from and to: the last 31 days; clicks come late, so the last minute would say nothing.
    const isAsked = asked.from !== undefined || asked.to !== undefined;
    const range = seriesRangeOf(asked, isAsked ? 'minute' : 'day', rules());
    const [minute, inCountry, revision] = cursors.read(cursor, question) ?? [];
    const after = minute === undefined ? undefined : { minute, country: inCountry ?? '', revision: revision ?? 0 };
    const selection = { ...range, country: askedCountry(country) };
    const [total, rows] = await Promise.all([
      restatements.totalOfAd(ad_id, selection),
      restatements.ofAd(ad_id, selection, after, limit + 1, order),
    ]);
    const page = pageOf(rows, limit, last => cursors.write([last.minute, last.country, last.revision], question));
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
  });
}

const schema = {
  tags: ['ads'],
  operationId: 'getRestatements',
  summary: 'How final counts of an ad were changed (without from and to: in the last 31 days)',
  description:
    'A final count changes only by a job that recounts raw clicks; each change is kept here with what was stated before.',
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
            'which minutes come first; those of one minute in the order of country and revision, or that reversed',
        }),
      ),
      limit: Type.Optional(Type.Integer({ default: 100, minimum: 1, maximum: 10_000, description: 'rows of a page' })),
      cursor: cursorParameter,
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object(
      {
        ad_id: Type.String(),
        from: timeField('begin, inclusive'),
        to: timeField('end, exclusive'),
        country: Type.Optional(Type.String({ description: 'as asked for' })),
        total: Type.Object(
          {
            changes: countField('changes of the range, on whichever page they stand'),
            added: Type.Integer({ description: 'clicks that they have added, less those that they have taken away' }),
            added_duplicates: Type.Integer({
              description:
                'likewise duplicates. Copies that came too late are among them where clicks of their minute and country have changed, too; else no recount changes anything for them, and they are lines of the quarantine with `outcome` `restated`',
            }),
          },
          { additionalProperties: false },
        ),
        restatements: Type.Array(
          Type.Object(
            {
              minute: timeField('the minute'),
              country: Type.String(),
              revision: Type.Integer({ minimum: 1, description: 'of this count: 1 is its first change' }),
              job: Type.String({ description: 'GET /v1/replays/{job}' }),
              reason: Type.String({ description: '`late`, `replay` or `reconcile`' }),
              before: countField('clicks before'),
              after: countField('clicks after'),
              at: timeField('when'),
            },
            { additionalProperties: false },
          ),
          { description: 'in the order of minute, country and revision, or with `order=newest` in that reversed' },
        ),
        next_cursor: nextCursorField,
      },
      { additionalProperties: false },
    ),
    ...problems,
  },
} as const;
