/** GET /v1/ads/series: clicks over time, of all ads together or of several ads separately. */

import { type Static, Type } from 'typebox';
import { type Http, ProblemSchema } from '../../../infra/http.ts';
import { invalid } from '../../../infra/problem.ts';
import { givingWay } from '../../../infra/slices.ts';
import {
  compareParameter,
  previousField,
  previousRange,
  readPrevious,
  withPrevious,
} from '../../answers/comparison.ts';
import { readSeries, selectionOf, sourceField } from '../../answers/readings.ts';
import { pointsOfReading, SeriesPoint } from '../../answers/series-points.ts';
import { totalOf } from '../../answers/shown-counts.ts';
import { clickParameters, reasonsFields, shownClicks, shownClicksField } from '../../http/asked-clicks.ts';
import { filterFields, filterParameters, shownFilter } from '../../http/asked-filter.ts';
import {
  adIdsParameter,
  anyCountFields,
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
import { stepsOf } from '../../time/steps.ts';
import type { AdsDeps } from './ads-deps.ts';
import { answerStated } from './stated-answer.ts';
import { wantedClicks } from './wanted-clicks.ts';

export function routeAllSeries(http: Http, { storeFor, rules, keptForms }: AdsDeps): void {
  http.get('/v1/ads/series', { schema, config: { scope: 'read', tenants: 'limited' } }, async (request, reply) => {
    const store = storeFor(request);
    const { granularity = 'minute', timezone, compare, ad_id: named = [] } = request.query;
    const adIds = [...new Set(named)];
    const { range, step } = stepsOfRange(request.query, granularity, timezone, rules());
    const names = adIds.length === 0 ? [''] : adIds;
    checkSize(names.length * stepsOf(range, step).length, granularity);
    const before = compare && previousRange(range);
    const wanted = await wantedClicks({ ...store, rules, keptForms }, request.query, range, { adIds, before });
    const question = { range, whole: withPrevious(range, before), adIds, asked: request.query };
    const found = await answerStated(store, reply, question, async ({ known, finality, pending }) => {
      const [reading, previous, steps] = await Promise.all([
        readSeries(store, step, { ...wanted, ...known }, finality),
        before && readPrevious(store, { ...wanted, ...known, ...before }, finality, pending),
        store.groups.restatedSteps(adIds, step, selectionOf({ ...wanted, ...known })),
      ]);
      return { ...reading, previous, steps, isRestated: steps.length > 0 };
    });
    const { rows, source, previous, steps, finality, pending, head } = found;
    const rowsOf = Map.groupBy(rows, row => row.ad_id);
    const restatedOf = Map.groupBy(steps, row => row.ad_id);
    const series: Static<typeof OneSeries>[] = [];
    for (const name of names) {
      const own = rowsOf.get(name) ?? [];
      const restated = new Set((restatedOf.get(name) ?? []).map(({ start }) => start));
      const pendingIn = pendingOf(pending, name === '' ? [] : [name]);
      const points = await givingWay(pointsOfReading(own, source, range, step, finality, restated, pendingIn));
      series.push({ ad_id: name || null, ...totalOf(own, source), points });
    }
    return {
      ...head,
      granularity,
      ...(timezone === undefined ? {} : { timezone }),
      ...shownFilter(request.query),
      ...shownClicks(request.query),
      source,
      series,
      ...(previous === undefined ? {} : { previous }),
    };
  });
}

/** The most points in one answer. Each is about 100 bytes of JSON. */
const maxPoints = 100_000;

function checkSize(points: number, granularity: string): void {
  if (points <= maxPoints) return;
  const rule = `must give at most ${maxPoints} points for this range and these ads, and gives ${points}`;
  throw invalid('granularity', granularity, rule, 'ask for a coarser granularity, a shorter range or fewer ads');
}

const OneSeries = Type.Object(
  {
    ad_id: Type.Union([Type.String(), Type.Null()], { description: 'Null: all ads together.' }),
    ...anyCountFields,
    ...reasonsFields,
    points: Type.Array(SeriesPoint, { description: 'One point for each step of the range, in order.' }),
  },
  { additionalProperties: false },
);

const schema = {
  tags: ['ads'],
  operationId: 'getAllSeries',
  summary: 'Clicks over time, of all ads together or of each named ad',
  description:
    'Without `ad_id`, the answer has one series, which is of all ads together. An answer has at most 100,000 points.',
  querystring: Type.Object(
    {
      ad_id: adIdsParameter,
      granularity: Type.Optional(GranularityParameter),
      timezone: timezoneParameter,
      ...rangeParameters,
      ...filterParameters,
      ...clickParameters,
      compare: compareParameter('Adds the sums of the range of the same length right before.'),
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object(
      {
        ...rangeFields,
        granularity: GranularityParameter,
        timezone: timezoneField,
        ...filterFields,
        ...shownClicksField,
        source: sourceField,
        ...statedFields,
        series: Type.Array(OneSeries, { description: 'In the order of the request.' }),
        previous: previousField('the sums of all these ads in the previous range.'),
      },
      { additionalProperties: false },
    ),
    ...problems,
    404: ProblemSchema,
  },
} as const;
