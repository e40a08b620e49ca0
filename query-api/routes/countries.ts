/** GET /v1/ads/countries: clicks of a range by country, of all ads or of those named. */
import { Type } from 'typebox';
import type { Http } from '../../infra/http.ts';
import { finalityOf, stateAt } from '../finality.ts';
import {
  adIdsParameter,
  countFields,
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
import { rangeOf, stepsMs } from '../time-range.ts';

export function routeCountries(http: Http, { queries, groups, rules }: RouteDeps): void {
  http.get('/v1/ads/countries', { schema }, async (request, reply) => {
    const adIds = request.query.ad_id ?? [];
    const range = rangeOf(request.query, rules());
    const selection = { ...range, country: undefined };
    const finality = finalityOf(await queries.progress());
    const countries = await groups.countries(adIds, selection);
    const isFinal = stateAt(finality, range.to) === 'final';
    const isRestated = isFinal && (await groups.restatedSteps(adIds, stepsMs.day, selection)).length > 0;
    const state = stateAt(finality, range.to, isRestated);
    setCaching(reply, state, request.query);
    return {
      from: isoOf(range.from),
      to: isoOf(range.to),
      state,
      watermark: isoOrNull(finality.watermark),
      countries,
    };
  });
}

const schema = {
  tags: ['ads'],
  operationId: 'getCountries',
  summary: 'Clicks by country in a range of minutes (without from and to: the last full minute)',
  description: 'Without `ad_id`: of all ads.',
  querystring: Type.Object({ ad_id: adIdsParameter, ...rangeParameters }, { additionalProperties: false }),
  response: {
    200: Type.Object(
      {
        from: timeField('begin, inclusive'),
        to: timeField('end, exclusive'),
        state: stateField,
        watermark: watermarkField,
        countries: Type.Array(
          Type.Object(
            { country: Type.String({ description: 'ISO 3166-1 alpha-2; ZZ: unknown' }), ...countFields },
            { additionalProperties: false },
          ),
          { description: 'most clicks first; countries without clicks are not listed' },
        ),
      },
      { additionalProperties: false },
    ),
    ...problems,
  },
} as const;
