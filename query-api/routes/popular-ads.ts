/** GET /v1/ads/popular_ads: the ads with the most clicks in a range of minutes. */
import { Type } from 'typebox';
import type { Http } from '../../infra/http.ts';
import { finalityOf, stateAt } from '../finality.ts';
import {
  countField,
  countryParameter,
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
import { windowOf } from '../time-range.ts';

export function routePopularAds(http: Http, { queries, restatements, rules }: RouteDeps): void {
  http.get('/v1/ads/popular_ads', { schema }, async (request, reply) => {
    const { count = 100, country } = request.query;
    const range = windowOf(request.query, rules());
    const finality = finalityOf(await queries.progress());
    const ads = await queries.popularAds(count, { ...range, country });
    const isFinal = stateAt(finality, range.to) === 'final';
    const state = stateAt(finality, range.to, isFinal && (await restatements.isRestated({ ...range, country })));
    setCaching(reply, state, request.query);
    return {
      from: isoOf(range.from),
      to: isoOf(range.to),
      ...(country === undefined ? {} : { country }),
      state,
      watermark: isoOrNull(finality.watermark),
      ads: ads.map((ad, i) => ({ rank: i + 1, ...ad })),
    };
  });
}

const schema = {
  tags: ['ads'],
  operationId: 'getPopularAds',
  summary: 'The ads with the most clicks in the last full minutes, or in a range of minutes',
  description:
    '`window` counts back from the last full minute; the running minute is not in it. Give `window`, or `from` and `to`, or neither.',
  querystring: Type.Object(
    {
      count: Type.Optional(Type.Integer({ default: 100, minimum: 1, maximum: 1_000, description: 'ads to list' })),
      window: Type.Optional(
        Type.Integer({ minimum: 1, description: 'the last so many full minutes (default 1); not beside from and to' }),
      ),
      ...rangeParameters,
      country: countryParameter,
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object(
      {
        from: timeField('begin, inclusive'),
        to: timeField('end, exclusive'),
        country: Type.Optional(Type.String({ description: 'as asked for' })),
        state: stateField,
        watermark: watermarkField,
        ads: Type.Array(
          Type.Object(
            { rank: Type.Integer({ minimum: 1 }), ad_id: Type.String(), count: countField('distinct clicks') },
            { additionalProperties: false },
          ),
          { description: 'most clicks first; equal counts in the order of ad_id; ads without clicks are not listed' },
        ),
      },
      {
        additionalProperties: false,
        examples: [
          {
            from: '2025-11-22T08:26:00.000Z',
            to: '2025-11-22T08:27:00.000Z',
            state: 'provisional',
            watermark: '2025-11-22T08:26:58.100Z',
            ads: [
              { rank: 1, ad_id: 'ad-42', count: 1234 },
              { rank: 2, ad_id: 'ad-7', count: 980 },
            ],
          },
        ],
      },
    ),
    ...problems,
  },
} as const;
