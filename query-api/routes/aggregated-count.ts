/** GET /v1/ads/{ad_id}/aggregated_count: one ad's clicks in a range of minutes. */
import { Type } from 'typebox';
import type { Http } from '../../infra/http.ts';
import { finalityOf, stateAt } from '../finality.ts';
import {
  AdIdParams,
  countFields,
  countryParameter,
  isoOf,
  isoOrNull,
  problems,
  rangeParameters,
  setCaching,
  stateField,
  timeField,
  watermarkField,
} from '../parameters.ts';
import type { Counts } from '../queries.ts';
import type { RouteDeps } from '../route-deps.ts';
import { momentOf, rangeOf } from '../time-range.ts';

export function routeAggregatedCount(http: Http, { queries, groups, restatements, rules }: RouteDeps): void {
  http.get('/v1/ads/:ad_id/aggregated_count', { schema }, async (request, reply) => {
    const { ad_id } = request.params;
    const { country } = request.query;
    const range = rangeOf(request.query, rules());
    const finality = finalityOf(await queries.progress());
    const selection = { ...range, country };
    const asOf = momentOf('as_of', request.query.as_of, rules());
    const counts = await groups.totals([ad_id], selection);
    const added = asOf === undefined ? undefined : await restatements.addedSince(ad_id, selection, asOf);
    const isFinal = stateAt(finality, range.to) === 'final';
    const state = stateAt(finality, range.to, isFinal && (await restatements.isRestated(selection, ad_id, asOf)));
    setCaching(reply, state, request.query);
    return {
      ad_id,
      from: isoOf(range.from),
      to: isoOf(range.to),
      ...(country === undefined ? {} : { country }),
      ...(asOf === undefined ? {} : { as_of: isoOf(asOf) }),
      ...(added === undefined ? counts : without(counts, added)),
      state,
      watermark: isoOrNull(finality.watermark),
    };
  });
}

/** The counts before restatements added what they did. */
function without(counts: Counts, added: Counts): Counts {
  return {
    count: Math.max(0, counts.count - added.count),
    duplicates: Math.max(0, counts.duplicates - added.duplicates),
    late: Math.max(0, counts.late - added.late),
  };
}

const schema = {
  tags: ['ads'],
  operationId: 'getAggregatedCount',
  summary: "One ad's clicks in a range of minutes (without from and to: the last full minute)",
  description:
    'The count stands on the watermark that is beside it. `state` is that of the whole range: it is `final` once no click of any of its minutes can be added any more. `as_of` undoes later restatements.',
  params: AdIdParams,
  querystring: Type.Object(
    {
      ...rangeParameters,
      country: countryParameter,
      as_of: Type.Optional(
        Type.String({
          description:
            'what was answered at that time for final minutes, before later restatements: as `from`, any moment',
        }),
      ),
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
        as_of: Type.Optional(timeField('as asked for')),
        ...countFields,
        state: stateField,
        watermark: watermarkField,
      },
      {
        additionalProperties: false,
        examples: [
          {
            ad_id: 'ad-42',
            from: '2025-11-22T08:26:00.000Z',
            to: '2025-11-22T08:27:00.000Z',
            count: 1234,
            duplicates: 17,
            late: 3,
            state: 'final',
            watermark: '2025-11-22T08:29:31.204Z',
          },
        ],
      },
    ),
    ...problems,
  },
} as const;
