/** GET /v1/ads/countries: clicks of a range by country, of all ads or of those named. */

import { Type } from 'typebox';
import { type Http, ProblemSchema } from '../../../infra/http.ts';
import { isFromRaw, readCountries, selectionOf, sourceField } from '../../answers/readings.ts';
import { uniquesField, uniquesParameter } from '../../answers/uniques.ts';
import { checkRaw, filterFields, filterOf, filterParameters, shownFilter } from '../../http/asked-filter.ts';
import { rangeOf } from '../../http/asked-range.ts';
import {
  adIdsParameter,
  anyCountFields,
  pendingLateField,
  problems,
  rangeParameters,
  stateField,
  timeField,
  watermarkField,
} from '../../http/parameters.ts';
import { stateAt } from '../../store/finality.ts';
import { stepsMs } from '../../time/time-range.ts';
import type { AdsDeps } from './ads-deps.ts';
import { answerStated } from './stated-answer.ts';

export function routeCountries(http: Http, deps: AdsDeps): void {
  const { groups, filters, rules } = deps;
  http.get('/v1/ads/countries', { schema, config: { scope: 'read' } }, async (request, reply) => {
    const { ad_id: adIds = [], uniques = false } = request.query;
    const range = rangeOf(request.query, rules());
    const wanted = { ...range, adIds, filter: await filterOf(request.query, filters), uniques };
    if (isFromRaw(wanted)) checkRaw(range, rules());
    const question = { range, adIds, asked: request.query };
    const { rows, source, head } = await answerStated(deps, reply, question, async ({ known, finality }) => {
      const [reading, steps] = await Promise.all([
        readCountries(deps, { ...wanted, ...known }, finality),
        stateAt(finality, range.to) === 'final'
          ? groups.restatedSteps(adIds, stepsMs.day, selectionOf({ ...wanted, ...known }))
          : [],
      ]);
      return { ...reading, isRestated: steps.length > 0 };
    });
    return { ...head, ...shownFilter(request.query), source, countries: [...rows] };
  });
}

const schema = {
  tags: ['ads'],
  operationId: 'getCountries',
  summary: 'Clicks by country in a range of minutes (without from and to: the last full minute)',
  description: 'Without `ad_id`: of all ads.',
  querystring: Type.Object(
    { ad_id: adIdsParameter, ...rangeParameters, ...filterParameters, uniques: uniquesParameter },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object(
      {
        from: timeField('begin, inclusive'),
        to: timeField('end, exclusive'),
        ...filterFields,
        source: sourceField,
        state: stateField,
        pending_late: pendingLateField,
        watermark: watermarkField,
        countries: Type.Array(
          Type.Object(
            {
              country: Type.String({ description: 'ISO 3166-1 alpha-2; ZZ: unknown' }),
              ...anyCountFields,
              uniques: uniquesField,
            },
            { additionalProperties: false },
          ),
          { description: 'most clicks first; countries without clicks are not listed' },
        ),
      },
      { additionalProperties: false },
    ),
    ...problems,
    404: ProblemSchema,
  },
} as const;
