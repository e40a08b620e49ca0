/** GET /v1/ads/{ad_id}/series: one ad's clicks over time, a point per minute, hour or day. */
import { Type } from 'typebox';
import { type Http, ProblemSchema } from '../../../infra/http.ts';
import { knownBefore } from '../../answers/known-before.ts';
import { isFromRaw, readSeries, selectionOf, sourceField } from '../../answers/readings.ts';
import { pointsOfReading, SeriesPoint } from '../../answers/series-points.ts';
import { checkRaw, filterFields, filterOf, filterParameters, shownFilter } from '../../http/asked-filter.ts';
import {
  AdIdParams,
  GranularityParameter,
  isoOf,
  isoOrNull,
  pendingLateField,
  problems,
  rangeParameters,
  setCaching,
  stateField,
  timeField,
  timezoneField,
  timezoneParameter,
  watermarkField,
} from '../../http/parameters.ts';
import { stepsOfRange } from '../../http/time-zone.ts';
import type { RouteDeps } from '../../route-deps.ts';
import { stateAt } from '../../store/finality.ts';
import type { Stated } from '../../store/sql/stated-rows.ts';

export function routeSeries(http: Http, deps: RouteDeps): void {
  const { groups, filters, stated, rules } = deps;
  http.get('/v1/ads/:ad_id/series', { schema }, async (request, reply) => {
    const { ad_id } = request.params;
    const { granularity = 'minute', timezone } = request.query;
    const { range, step } = stepsOfRange(request.query, granularity, timezone, rules());
    const asked = { ...range, adIds: [ad_id], filter: await filterOf(request.query, filters), uniques: false };
    if (isFromRaw(asked)) checkRaw(range, rules());
    const { finality: told, late, recounts } = await knownBefore(deps, range);
    const lateIn = late.of([ad_id]);
    const read = async (known: Stated) => {
      const wanted = { ...asked, ...known };
      const [reading, steps] = await Promise.all([
        readSeries(deps, step, wanted, told),
        // A series that is not final as a whole may have points that are.
        groups.restatedSteps([ad_id], step, selectionOf(wanted)),
      ]);
      return { ...reading, steps };
    };
    const { rows, source, finality, steps } = await stated.at(range, read, recounts);
    const restated = new Set(steps.map(({ start }) => start));
    const state = stateAt(finality, range.to, restated.size > 0);
    const pendingLate = lateIn(range);
    setCaching(reply, { state, pendingLate }, request.query);
    return {
      ad_id,
      from: isoOf(range.from),
      to: isoOf(range.to),
      granularity,
      ...(timezone === undefined ? {} : { timezone }),
      ...shownFilter(request.query),
      source,
      state,
      pending_late: pendingLate,
      watermark: isoOrNull(finality.watermark),
      points: pointsOfReading(rows, source, range, step, told, restated, lateIn),
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
      timezone: timezoneParameter,
      ...rangeParameters,
      ...filterParameters,
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
        timezone: timezoneField,
        ...filterFields,
        source: sourceField,
        state: stateField,
        pending_late: pendingLateField,
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
            source: 'counts',
            state: 'final',
            pending_late: 0,
            watermark: '2025-11-22T09:29:31.204Z',
            points: [
              {
                start: '2025-11-22T08:00:00.000Z',
                count: 51_234,
                duplicates: 170,
                late: 31,
                state: 'final',
                pending_late: 0,
              },
            ],
          },
        ],
      },
    ),
    ...problems,
    404: ProblemSchema,
  },
} as const;
