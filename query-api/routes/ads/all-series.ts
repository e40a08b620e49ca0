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
import { knownBefore } from '../../answers/known-before.ts';
import { isFromRaw, type ReadPoint, readSeries, selectionOf, sourceField } from '../../answers/readings.ts';
import { pointsOfReading, SeriesPoint } from '../../answers/series-points.ts';
import { checkRaw, filterFields, filterOf, filterParameters, shownFilter } from '../../http/asked-filter.ts';
import {
  adIdsParameter,
  anyCountFields,
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
import { stepsOf } from '../../time/steps.ts';

export function routeAllSeries(http: Http, deps: RouteDeps): void {
  const { groups, filters, stated, rules } = deps;
  http.get('/v1/ads/series', { schema }, async (request, reply) => {
    const { granularity = 'minute', timezone, compare, ad_id: named = [] } = request.query;
    const adIds = [...new Set(named)];
    const { range, step } = stepsOfRange(request.query, granularity, timezone, rules());
    const names = adIds.length === 0 ? [''] : adIds;
    checkSize(names.length * stepsOf(range, step).length, granularity);
    const asked = { ...range, adIds, filter: await filterOf(request.query, filters), uniques: false };
    const before = compare && previousRange(range);
    if (isFromRaw(asked)) checkRaw(before ?? range, rules());
    const whole = withPrevious(range, before);
    const { finality: told, late, recounts } = await knownBefore(deps, whole);
    const pendingLate = late.of(adIds)(range);
    const read = async (known: Stated) => {
      const wanted = { ...asked, ...known };
      const [reading, earlier, steps] = await Promise.all([
        readSeries(deps, step, wanted, told),
        before && readPrevious(deps, { ...wanted, ...before }, told, late),
        groups.restatedSteps(adIds, step, selectionOf(wanted)),
      ]);
      return { ...reading, previous: earlier, steps };
    };
    const { rows, source, finality, previous, steps } = await stated.at(whole, read, recounts);
    const rowsOf = Map.groupBy(rows, row => row.ad_id);
    const restatedOf = Map.groupBy(steps, row => row.ad_id);
    const state = stateAt(finality, range.to, restatedOf.size > 0);
    setCaching(reply, { state, pendingLate }, request.query);
    return {
      from: isoOf(range.from),
      to: isoOf(range.to),
      granularity,
      ...(timezone === undefined ? {} : { timezone }),
      ...shownFilter(request.query),
      source,
      state,
      pending_late: pendingLate,
      watermark: isoOrNull(finality.watermark),
      series: names.map(name => {
        const own = rowsOf.get(name) ?? [];
        const restated = new Set((restatedOf.get(name) ?? []).map(({ start }) => start));
        return {
          ad_id: name || null,
          ...summed(own, source),
          points: pointsOfReading(own, source, range, step, told, restated, late.of(name === '' ? [] : [name])),
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
