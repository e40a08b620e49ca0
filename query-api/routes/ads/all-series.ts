/** GET /v1/ads/series: clicks over time, of all ads together or of a few side by side. */

import { Type } from 'typebox';
import { type Http, ProblemSchema } from '../../../infra/http.ts';
import { invalid } from '../../../infra/problem.ts';
import {
  compareParameter,
  previousField,
  previousRange,
  readPrevious,
  withPrevious,
} from '../../answers/comparison.ts';
import { isFromRaw, type ReadPoint, readSeries, selectionOf, sourceField } from '../../answers/readings.ts';
import { pointsOfReading, SeriesPoint } from '../../answers/series-points.ts';
import { checkRaw, filterFields, filterOf, filterParameters, shownFilter } from '../../http/asked-filter.ts';
import {
  adIdsParameter,
  anyCountFields,
  GranularityParameter,
  pendingLateField,
  problems,
  rangeParameters,
  stateField,
  timeField,
  timezoneField,
  timezoneParameter,
  watermarkField,
} from '../../http/parameters.ts';
import { stepsOfRange } from '../../http/time-zone.ts';
import { stepsOf } from '../../time/steps.ts';
import type { AdsDeps } from './ads-deps.ts';
import { answerStated } from './stated-answer.ts';

export function routeAllSeries(http: Http, deps: AdsDeps): void {
  const { groups, filters, rules } = deps;
  http.get('/v1/ads/series', { schema, config: { scope: 'read' } }, async (request, reply) => {
    const { granularity = 'minute', timezone, compare, ad_id: named = [] } = request.query;
    const adIds = [...new Set(named)];
    const { range, step } = stepsOfRange(request.query, granularity, timezone, rules());
    const names = adIds.length === 0 ? [''] : adIds;
    checkSize(names.length * stepsOf(range, step).length, granularity);
    const wanted = { ...range, adIds, filter: await filterOf(request.query, filters), uniques: false };
    const before = compare && previousRange(range);
    if (isFromRaw(wanted)) checkRaw(before ?? range, rules());
    const question = { range, whole: withPrevious(range, before), adIds, asked: request.query };
    const found = await answerStated(deps, reply, question, async ({ known, finality, late }) => {
      const [reading, previous, steps] = await Promise.all([
        readSeries(deps, step, { ...wanted, ...known }, finality),
        before && readPrevious(deps, { ...wanted, ...known, ...before }, finality, late),
        groups.restatedSteps(adIds, step, selectionOf({ ...wanted, ...known })),
      ]);
      return { ...reading, previous, steps, isRestated: steps.length > 0 };
    });
    const { rows, source, previous, steps, finality, late, head } = found;
    const rowsOf = Map.groupBy(rows, row => row.ad_id);
    const restatedOf = Map.groupBy(steps, row => row.ad_id);
    return {
      ...head,
      granularity,
      ...(timezone === undefined ? {} : { timezone }),
      ...shownFilter(request.query),
      source,
      series: names.map(name => {
        const own = rowsOf.get(name) ?? [];
        const restated = new Set((restatedOf.get(name) ?? []).map(({ start }) => start));
        const lateIn = late.of(name === '' ? [] : [name]);
        return {
          ad_id: name || null,
          ...summed(own, source),
          points: pointsOfReading(own, source, range, step, finality, restated, lateIn),
        };
      }),
      ...(previous === undefined ? {} : { previous }),
    };
  });
}

/** Points in one answer; each is about 100 bytes of JSON. */
const maxPoints = 100_000;

function checkSize(points: number, granularity: string): void {
  if (points <= maxPoints) return;
  const rule = `must give at most ${maxPoints} points for the range and ads asked for, and gives ${points}`;
  throw invalid('granularity', granularity, rule, 'ask for longer steps, a shorter range or fewer ads');
}

function summed(rows: readonly ReadPoint[], source: 'counts' | 'raw') {
  const sum = (field: 'count' | 'duplicates' | 'late') => rows.reduce((total, row) => total + (row[field] ?? 0), 0);
  return { count: sum('count'), duplicates: sum('duplicates'), late: source === 'raw' ? null : sum('late') };
}

const schema = {
  tags: ['ads'],
  operationId: 'getAllSeries',
  summary: 'Clicks over time, of all ads together, or of each ad that is named',
  description: 'Without `ad_id`: one series, of all ads together. At most 100,000 points in one answer.',
  querystring: Type.Object(
    {
      ad_id: adIdsParameter,
      granularity: Type.Optional(GranularityParameter),
      timezone: timezoneParameter,
      ...rangeParameters,
      ...filterParameters,
      compare: compareParameter('also the sums of as long a range right before'),
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object(
      {
        from: timeField('begin, inclusive'),
        to: timeField('end, exclusive'),
        granularity: GranularityParameter,
        timezone: timezoneField,
        ...filterFields,
        source: sourceField,
        state: stateField,
        pending_late: pendingLateField,
        watermark: watermarkField,
        series: Type.Array(
          Type.Object(
            {
              ad_id: Type.Union([Type.String(), Type.Null()], { description: 'null: all ads together' }),
              ...anyCountFields,
              points: Type.Array(SeriesPoint, { description: 'one for each step of the range, in order' }),
            },
            { additionalProperties: false },
          ),
          { description: 'in the order asked for' },
        ),
        previous: previousField('all that were asked for, summed'),
      },
      { additionalProperties: false },
    ),
    ...problems,
    404: ProblemSchema,
  },
} as const;
