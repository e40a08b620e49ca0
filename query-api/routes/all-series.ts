/** GET /v1/ads/series: clicks over time, of all ads together or of a few side by side. */
import { Type } from 'typebox';
import { type Http, Problem } from '../../infra/http.ts';
import { type Finality, finalityOf, stateAt } from '../finality.ts';
import type { GroupQueries, SeriesRow } from '../group-queries.ts';
import {
  adIdsParameter,
  countFields,
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
import type { Counts, Selection } from '../queries.ts';
import type { RouteDeps } from '../route-deps.ts';
import { pointsOf, SeriesPoint } from '../series-points.ts';
import { seriesRangeOf, stepsMs } from '../time-range.ts';

export function routeAllSeries(http: Http, { queries, groups, rules }: RouteDeps): void {
  http.get('/v1/ads/series', { schema }, async (request, reply) => {
    const { country, granularity = 'minute', compare, ad_id: asked = [] } = request.query;
    const adIds = [...new Set(asked)];
    const stepMs = stepsMs[granularity];
    const range = seriesRangeOf(request.query, granularity, rules());
    const selection = { ...range, country };
    const names = adIds.length === 0 ? [''] : adIds;
    checkSize(names.length * ((range.to - range.from) / stepMs));
    const finality = finalityOf(await queries.progress());
    const rows = Map.groupBy(await groups.series(adIds, stepMs, selection), row => row.ad_id);
    const previous = compare && (await previousOf(groups, adIds, stepMs, selection, finality));
    const restated = Map.groupBy(await groups.restatedSteps(adIds, stepMs, selection), row => row.ad_id);
    const state = stateAt(finality, range.to, restated.size > 0);
    setCaching(reply, state, request.query);
    return {
      from: isoOf(range.from),
      to: isoOf(range.to),
      granularity,
      ...(country === undefined ? {} : { country }),
      state,
      watermark: isoOrNull(finality.watermark),
      series: names.map(name => {
        const own = rows.get(name) ?? [];
        const changed = new Set((restated.get(name) ?? []).map(step => step.start));
        const stateOf = (start: number) => stateAt(finality, start + stepMs, changed.has(start));
        return { ad_id: name || null, ...summed(own), points: pointsOf(own, range, stepMs, stateOf) };
      }),
      ...(previous === undefined ? {} : { previous }),
    };
  });
}

/** As long a range, right before. */
async function previousOf(
  groups: GroupQueries,
  adIds: readonly string[],
  stepMs: number,
  now: Selection,
  finality: Finality,
) {
  const before = { ...now, from: Math.max(0, now.from - (now.to - now.from)), to: now.from };
  const counts = await groups.totals(adIds, before);
  const restated = await groups.restatedSteps(adIds, stepMs, before);
  const state = stateAt(finality, before.to, restated.length > 0);
  return { from: isoOf(before.from), to: isoOf(before.to), ...counts, state };
}

/** Points in one answer; each is about 100 bytes of JSON. */
const maxPoints = 100_000;

function checkSize(points: number): void {
  if (points <= maxPoints) return;
  throw new Problem(
    400,
    'invalid_parameter',
    `granularity: must give at most ${maxPoints} points for the range and ads asked for (gives ${points})`,
  );
}

function summed(rows: readonly SeriesRow[]): Counts {
  const sum = (field: keyof Counts) => rows.reduce((total, row) => total + row[field], 0);
  return { count: sum('count'), duplicates: sum('duplicates'), late: sum('late') };
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
      ...rangeParameters,
      country: countryParameter,
      compare: Type.Optional(
        Type.Enum(['previous'], { type: 'string', description: 'also the sums of as long a range right before' }),
      ),
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object(
      {
        from: timeField('begin, inclusive'),
        to: timeField('end, exclusive'),
        granularity: GranularityParameter,
        country: Type.Optional(Type.String({ description: 'as asked for' })),
        state: stateField,
        watermark: watermarkField,
        series: Type.Array(
          Type.Object(
            {
              ad_id: Type.Union([Type.String(), Type.Null()], { description: 'null: all ads together' }),
              ...countFields,
              points: Type.Array(SeriesPoint, { description: 'one for each step of the range, in order' }),
            },
            { additionalProperties: false },
          ),
          { description: 'in the order asked for' },
        ),
        previous: Type.Optional(
          Type.Object(
            { from: timeField('begin, inclusive'), to: timeField('end, exclusive'), ...countFields, state: stateField },
            { additionalProperties: false, description: 'with `compare=previous`: all that were asked for, summed' },
          ),
        ),
      },
      { additionalProperties: false },
    ),
    ...problems,
  },
} as const;
