/** GET /v1/ads/{ad_id}/series: one ad's clicks over time, a point per minute, hour or day of UTC. */
import { Type } from 'typebox';
import type { Http } from '../../infra/http.ts';
import { finalityOf, stateAt } from '../finality.ts';
import {
  AdIdParams,
  countryParameter,
  GranularityParameter,
  isoOf,
  isoOrNull,
  problems,
  rangeParameters,
  setCaching,
  stateField,
  timeField,
  watermarkField,
} from '../parameters.ts';
import type { RouteDeps } from '../route-deps.ts';
import { pointsOf, SeriesPoint } from '../series-points.ts';
import { seriesRangeOf, stepsMs } from '../time-range.ts';

export function routeSeries(http: Http, { queries, groups, rules }: RouteDeps): void {
  http.get('/v1/ads/:ad_id/series', { schema }, async (request, reply) => {
    const { ad_id } = request.params;
    const { country, granularity = 'minute' } = request.query;
    const stepMs = stepsMs[granularity];
    const range = seriesRangeOf(request.query, granularity, rules());
    const finality = finalityOf(await queries.progress());
    const rows = await groups.series([ad_id], stepMs, { ...range, country });
    // A series that is not final as a whole may have points that are.
    const steps = await groups.restatedSteps([ad_id], stepMs, { ...range, country });
    const restated = new Set(steps.map(({ start }) => start));
    const state = stateAt(finality, range.to, restated.size > 0);
    setCaching(reply, state, request.query);
    return {
      ad_id,
      from: isoOf(range.from),
      to: isoOf(range.to),
      granularity,
      ...(country === undefined ? {} : { country }),
      state,
      watermark: isoOrNull(finality.watermark),
      points: pointsOf(rows, range, stepMs, start => stateAt(finality, start + stepMs, restated.has(start))),
    };
  });
}

const schema = {
  tags: ['ads'],
  operationId: 'getSeries',
  summary: "One ad's clicks over time (without from and to: the last 60 minutes, 24 hours or 31 days)",
  description:
    'Each point has a state of its own; `state` beside them is that of the whole range. Steps without clicks are points with zeroes.',
  params: AdIdParams,
  querystring: Type.Object(
    {
      granularity: Type.Optional(GranularityParameter),
      ...rangeParameters,
      country: countryParameter,
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object(
      {
        ad_id: Type.String(),
        from: timeField('begin, inclusive'),
        to: timeField('end, exclusive'),
        granularity: GranularityParameter,
        country: Type.Optional(Type.String({ description: 'as asked for' })),
        state: stateField,
        watermark: watermarkField,
        points: Type.Array(SeriesPoint, {
          description: 'one for each step of the range, in order, also where there were no clicks',
        }),
      },
      {
        additionalProperties: false,
        examples: [
          {
            ad_id: 'ad-42',
            from: '2025-11-22T08:00:00.000Z',
            to: '2025-11-22T09:00:00.000Z',
            granularity: 'hour',
            state: 'final',
            watermark: '2025-11-22T09:29:31.204Z',
            points: [{ start: '2025-11-22T08:00:00.000Z', count: 51_234, duplicates: 170, late: 31, state: 'final' }],
          },
        ],
      },
    ),
    ...problems,
  },
} as const;
