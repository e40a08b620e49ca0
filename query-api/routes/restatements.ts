/** GET /v1/ads/{ad_id}/restatements: how the final counts of an ad were changed, when and why. */
import { Type } from 'typebox';
import type { Http } from '../../infra/http.ts';
import {
  AdIdParams,
  countField,
  countryParameter,
  isoOf,
  problems,
  rangeParameters,
  timeField,
} from '../parameters.ts';
import type { Restatement, RestatementCursor } from '../restatement-queries.ts';
import type { RouteDeps } from '../route-deps.ts';
import { invalid, seriesRangeOf } from '../time-range.ts';

export function routeRestatements(http: Http, { restatements, rules }: RouteDeps): void {
  http.get('/v1/ads/:ad_id/restatements', { schema }, async (request, reply) => {
    const { ad_id } = request.params;
    const { country, limit = 100, after } = request.query;
    // Without from and to: the last 31 days; clicks come late, so the last minute would say nothing.
    const asked = request.query.from === undefined && request.query.to === undefined;
    const range = seriesRangeOf(request.query, asked ? 'day' : 'minute', rules());
    const rows = await restatements.ofAd(ad_id, { ...range, country }, cursorOf(after), limit);
    reply.header('cache-control', 'no-store');
    return {
      ad_id,
      from: isoOf(range.from),
      to: isoOf(range.to),
      ...(country === undefined ? {} : { country }),
      restatements: rows.map(row => ({ ...row, minute: isoOf(row.minute), at: isoOf(row.at) })),
      next: nextOf(rows, limit),
    };
  });
}

function nextOf(rows: readonly Restatement[], limit: number): string | null {
  const last = rows.at(-1);
  return last === undefined || rows.length < limit ? null : `${last.minute}~${last.country}~${last.revision}`;
}

function cursorOf(text: string | undefined): RestatementCursor | undefined {
  if (text === undefined) return undefined;
  const [, minute, country, revision] = /^(\d{1,15})~([A-Z]{2})~(\d{1,5})$/.exec(text) ?? [];
  if (minute && country && revision) return { minute: Number(minute), country, revision: Number(revision) };
  throw invalid('after', text, 'must be `next` of the page before');
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
      limit: Type.Optional(Type.Integer({ default: 100, minimum: 1, maximum: 10_000, description: 'rows of a page' })),
      after: Type.Optional(Type.String({ maxLength: 100, description: '`next` of the page before' })),
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
          { description: 'in the order of minute, country and revision' },
        ),
        next: Type.Union([Type.String(), Type.Null()], {
          description: '`after` of the next page; null: this is the last',
        }),
      },
      { additionalProperties: false },
    ),
    ...problems,
  },
} as const;
