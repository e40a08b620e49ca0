/** GET /v1/ads/countries: clicks of a range by country, of all ads or of named ads. */

import { Type } from 'typebox';
import { type Http, ProblemSchema } from '../../../infra/http.ts';
import { readCountries, selectionOf, sourceField } from '../../answers/readings.ts';
import { uniquesField, uniquesParameter } from '../../answers/uniques.ts';
import { clickParameters, reasonsFields, shownClicks, shownClicksField } from '../../http/asked-clicks.ts';
import { filterFields, filterParameters, shownFilter } from '../../http/asked-filter.ts';
import { rangeOf } from '../../http/asked-range.ts';
import {
  adIdsParameter,
  anyCountFields,
  problems,
  rangeFields,
  rangeParameters,
  statedFields,
} from '../../http/parameters.ts';
import { stateAt } from '../../store/finality.ts';
import { stepsMs } from '../../time/time-range.ts';
import type { AdsDeps } from './ads-deps.ts';
import { answerStated } from './stated-answer.ts';
import { wantedClicks } from './wanted-clicks.ts';

export function routeCountries(http: Http, { storeFor, rules, keptForms }: AdsDeps): void {
  http.get('/v1/ads/countries', { schema, config: { scope: 'read', tenants: 'limited' } }, async (request, reply) => {
    const store = storeFor(request);
    const { ad_id: adIds = [], uniques = false } = request.query;
    const range = rangeOf(request.query, rules());
    const wanted = await wantedClicks({ ...store, rules, keptForms }, request.query, range, { adIds, uniques });
    const question = { range, adIds, asked: request.query };
    const { rows, source, head } = await answerStated(store, reply, question, async ({ known, finality }) => {
      const [reading, steps] = await Promise.all([
        readCountries(store, { ...wanted, ...known }, finality),
        stateAt(finality, range.to) === 'final'
          ? store.groups.restatedSteps(adIds, stepsMs.day, selectionOf({ ...wanted, ...known }))
          : [],
      ]);
      return { ...reading, isRestated: steps.length > 0 };
    });
    return { ...head, ...shownFilter(request.query), ...shownClicks(request.query), source, countries: [...rows] };
  });
}

const schema = {
  tags: ['ads'],
  operationId: 'getCountries',
  summary: 'Clicks by country in a range of minutes (without from and to: in the last full minute)',
  description: 'Without `ad_id`, the clicks of all ads together.',
  querystring: Type.Object(
    {
      ad_id: adIdsParameter,
      ...rangeParameters,
      ...filterParameters,
      ...clickParameters,
      uniques: uniquesParameter,
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object(
      {
        ...rangeFields,
        ...filterFields,
        ...shownClicksField,
        source: sourceField,
        ...statedFields,
        countries: Type.Array(
          Type.Object(
            {
              country: Type.String({ description: 'ISO 3166-1 alpha-2. ZZ: unknown.' }),
              ...anyCountFields,
              ...reasonsFields,
              uniques: uniquesField,
            },
            { additionalProperties: false },
          ),
          { description: 'Ordered by clicks, most first. Countries without clicks are not listed.' },
        ),
      },
      { additionalProperties: false },
    ),
    ...problems,
    404: ProblemSchema,
  },
} as const;
