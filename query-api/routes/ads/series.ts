/** GET /v1/ads/{ad_id}/series: the clicks of one ad over time, with a point for each minute, hour or day. */
import { Type } from 'typebox';
import { type Http, ProblemSchema } from '../../../infra/http.ts';
import { givingWay } from '../../../infra/slices.ts';
import { readSeries, selectionOf, sourceField } from '../../answers/readings.ts';
import { pointsOfReading, SeriesPoint } from '../../answers/series-points.ts';
import { clickParameters, shownClicks, shownClicksField } from '../../http/asked-clicks.ts';
import { filterFields, filterParameters, shownFilter } from '../../http/asked-filter.ts';
import {
  AdIdParams,
  GranularityParameter,
  problems,
  rangeFields,
  rangeParameters,
  statedFields,
  timezoneField,
  timezoneParameter,
} from '../../http/parameters.ts';
import { stepsOfRange } from '../../http/time-zone.ts';
import { pendingOf } from '../../store/pending.ts';
import type { AdsDeps } from './ads-deps.ts';
import { answerStated } from './stated-answer.ts';
import { wantedClicks } from './wanted-clicks.ts';

export function routeSeries(http: Http, { storeFor, rules, keptForms }: AdsDeps): void {
  http.get(
    '/v1/ads/:ad_id/series',
    { schema, config: { scope: 'read', tenants: 'limited' } },
    async (request, reply) => {
      const store = storeFor(request);
      const { ad_id } = request.params;
      const { granularity = 'minute', timezone } = request.query;
      const { range, step } = stepsOfRange(request.query, granularity, timezone, rules());
      const wanted = await wantedClicks({ ...store, rules, keptForms }, request.query, range, { adIds: [ad_id] });
      const question = { range, adIds: [ad_id], asked: request.query };
      const found = await answerStated(store, reply, question, async ({ known, finality }) => {
        const [reading, steps] = await Promise.all([
          readSeries(store, step, { ...wanted, ...known }, finality),
          // Read even if the series as a whole is not final, because some of its points may be.
          store.groups.restatedSteps([ad_id], step, selectionOf({ ...wanted, ...known })),
        ]);
        return { ...reading, steps, isRestated: steps.length > 0 };
      });
      const { rows, source, steps, finality, pending, head } = found;
      const restated = new Set(steps.map(({ start }) => start));
      return {
        ...head,
        ad_id,
        granularity,
        ...(timezone === undefined ? {} : { timezone }),
        ...shownFilter(request.query),
        ...shownClicks(request.query),
        source,
        points: await givingWay(
          pointsOfReading(rows, source, range, step, finality, restated, pendingOf(pending, [ad_id])),
        ),
      };
    },
  );
}

const schema = {
  tags: ['ads'],
  operationId: 'getSeries',
  summary: 'The clicks of one ad over time (without from and to: in the last 60 minutes, 24 hours or 31 days)',
  description:
    'Each point has its own state. The `state` next to `points` is the state of the whole range. A step without clicks is a point with zeroes.',
  params: AdIdParams,
  querystring: Type.Object(
    {
      granularity: Type.Optional(GranularityParameter),
      timezone: timezoneParameter,
      ...rangeParameters,
      ...filterParameters,
      ...clickParameters,
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object(
      {
        ad_id: Type.String(),
        ...rangeFields,
        granularity: GranularityParameter,
        timezone: timezoneField,
        ...filterFields,
        ...shownClicksField,
        source: sourceField,
        ...statedFields,
        points: Type.Array(SeriesPoint, {
          description: 'One point for each step of the range, in order. A step without clicks has a point too.',
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
            pending_split: 0,
            watermark: '2025-11-22T09:29:31.204Z',
            points: [
              {
                start: '2025-11-22T08:00:00.000Z',
                count: 51_200,
                duplicates: 170,
                late: 31,
                gross: 51_404,
                net: 51_200,
                invalid: 34,
                state: 'final',
                pending_late: 0,
                pending_split: 0,
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
