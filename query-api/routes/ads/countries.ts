/** GET /v1/ads/countries: clicks of a range by country, of all ads or of those named. */

import { Type } from 'typebox';
import { type Http, ProblemSchema } from '../../../infra/http.ts';
import { knownBefore } from '../../answers/known-before.ts';
import { isFromRaw, readCountries, selectionOf, sourceField } from '../../answers/readings.ts';
import { uniquesField, uniquesParameter } from '../../answers/uniques.ts';
import { checkRaw, filterFields, filterOf, filterParameters, shownFilter } from '../../http/asked-filter.ts';
import { rangeOf } from '../../http/asked-range.ts';
import {
  adIdsParameter,
  anyCountFields,
  isoOf,
  isoOrNull,
  pendingLateField,
  problems,
  rangeParameters,
  setCaching,
  stateField,
  timeField,
  watermarkField,
} from '../../http/parameters.ts';
import type { RouteDeps } from '../../route-deps.ts';
import { stateAt } from '../../store/finality.ts';
import type { Stated } from '../../store/sql/stated-rows.ts';
import { stepsMs } from '../../time/time-range.ts';

export function routeCountries(http: Http, deps: RouteDeps): void {
  const { groups, filters, stated, rules } = deps;
  http.get('/v1/ads/countries', { schema }, async (request, reply) => {
    const { ad_id: adIds = [], uniques = false } = request.query;
    const range = rangeOf(request.query, rules());
    const asked = { ...range, adIds, filter: await filterOf(request.query, filters), uniques };
    if (isFromRaw(asked)) checkRaw(range, rules());
    const { finality: told, late, recounts } = await knownBefore(deps, range);
    const pendingLate = late.of(adIds)(range);
    const read = async (known: Stated) => {
      const wanted = { ...asked, ...known };
      const [{ rows, ...reading }, steps] = await Promise.all([
        readCountries(deps, wanted, told),
        stateAt(told, range.to) === 'final' ? groups.restatedSteps(adIds, stepsMs.day, selectionOf(wanted)) : [],
      ]);
      return { ...reading, countries: rows, state: stateAt(reading.finality, range.to, steps.length > 0) };
    };
    const { countries, source, finality, state } = await stated.at(range, read, recounts);
    setCaching(reply, { state, pendingLate }, request.query);
    return {
      from: isoOf(range.from),
      to: isoOf(range.to),
      ...shownFilter(request.query),
      source,
      state,
      pending_late: pendingLate,
      watermark: isoOrNull(finality.watermark),
      countries: [...countries],
    };
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
