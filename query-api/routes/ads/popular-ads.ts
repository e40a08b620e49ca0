/** GET /v1/ads/popular_ads: the ads with the most clicks in a range of minutes. */
import { Type } from 'typebox';
import { type Http, ProblemSchema } from '../../../infra/http.ts';
import {
  compareParameter,
  previousRange,
  previousRangeField,
  previousRankField,
  readPreviousRanks,
  withPrevious,
} from '../../answers/comparison.ts';
import { readPopularAds, selectionOf, sourceField } from '../../answers/readings.ts';
import { uniquesField, uniquesParameter } from '../../answers/uniques.ts';
import { clicksParameter, shownClicks, shownClicksField } from '../../http/asked-clicks.ts';
import { filterFields, filterParameters, shownFilter } from '../../http/asked-filter.ts';
import { windowOf } from '../../http/asked-range.ts';
import { cursorParameter, nextCursorField, pageOf } from '../../http/cursor.ts';
import { anyClicksFields, isoOf, problems, rangeFields, rangeParameters, statedFields } from '../../http/parameters.ts';
import { rankingCursorsOf } from '../../http/ranking-cursor.ts';
import { stateAt } from '../../store/finality.ts';
import type { AdsDeps } from './ads-deps.ts';
import { answerStated } from './stated-answer.ts';
import { wantedClicks } from './wanted-clicks.ts';

const cursors = rankingCursorsOf('popular_ads');

export function routePopularAds(http: Http, { storeFor, rules, keptForms }: AdsDeps): void {
  http.get('/v1/ads/popular_ads', { schema, config: { scope: 'read', tenants: 'limited' } }, async (request, reply) => {
    const store = storeFor(request);
    const { count = 100, cursor, uniques = false, compare, ...question } = request.query;
    const place = cursors.read(cursor, question, store.sight, rules());
    const range = place?.range ?? windowOf(question, rules());
    const before = compare && previousRange(range);
    const wanted = await wantedClicks({ ...store, rules, keptForms }, question, range, { uniques, before });
    const whole = withPrevious(range, before);
    // A cursor contains the minutes, so the answer may be cached as if `from` were given.
    const asked = place ? { ...question, from: isoOf(range.from) } : question;
    const found = await answerStated(
      store,
      reply,
      { range, whole, adIds: [], asked },
      async ({ known, finality, pending }) => {
        const [reading, isRestated] = await Promise.all([
          readPopularAds(store, count + 1, { ...wanted, ...known }, finality, place?.after),
          stateAt(finality, range.to) === 'final' &&
            store.restatements.isRestated(selectionOf({ ...wanted, ...known })),
        ]);
        const listed = reading.rows.slice(0, count).map(ad => ad.ad_id);
        const previous =
          before && (await readPreviousRanks(store, listed, { ...wanted, ...known, ...before }, finality, pending));
        return { ...reading, previous, isRestated };
      },
    );
    const { rows, source, previous, head } = found;
    const ranked = rows.map((ad, i) => ({ rank: (place?.after.rank ?? 0) + i + 1, ...ad }));
    const page = pageOf(ranked, count, last => cursors.write(range, last, question, store.sight));
    return {
      ...head,
      ...shownFilter(question),
      ...shownClicks(question),
      source,
      ads: page.rows.map(ad => (previous ? { ...ad, previous: previous.of.get(ad.ad_id) ?? null } : ad)),
      next_cursor: page.next_cursor,
      ...(previous ? { previous: previous.range } : {}),
    };
  });
}

const schema = {
  tags: ['ads'],
  operationId: 'getPopularAds',
  summary: 'The ads with the most clicks in the last full minutes, or in a range of minutes',
  description:
    '`window` ends with the last full minute, so it does not contain the current minute. Give either `window` or `from` and `to`, or none of them.',
  querystring: Type.Object(
    {
      count: Type.Optional(
        Type.Integer({ default: 100, minimum: 1, maximum: 1_000, description: 'The most ads on one page.' }),
      ),
      window: Type.Optional(
        Type.Integer({
          minimum: 1,
          description:
            'How many full minutes the range has (default 1). It ends with the last full minute. Not together with `from` and `to`.',
        }),
      ),
      ...rangeParameters,
      ...filterParameters,
      clicks: clicksParameter,
      uniques: uniquesParameter,
      compare: compareParameter('Adds the rank of each ad in the range of the same length right before.'),
      cursor: cursorParameter,
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
        ads: Type.Array(
          Type.Object(
            {
              rank: Type.Integer({ minimum: 1 }),
              ad_id: Type.String(),
              ...anyClicksFields,
              uniques: uniquesField,
              previous: previousRankField,
            },
            { additionalProperties: false },
          ),
          {
            description:
              'Ordered by clicks, most first, then by `ad_id`. Ads without clicks of the kind that gives the order are not listed: by `net`, those of which all clicks are invalid, though `clicks=gross` has them.',
          },
        ),
        next_cursor: nextCursorField,
        previous: previousRangeField,
      },
      {
        additionalProperties: false,
        examples: [
          {
            from: '2025-11-22T08:26:00.000Z',
            to: '2025-11-22T08:27:00.000Z',
            source: 'counts',
            state: 'provisional',
            pending_late: 0,
            pending_split: 0,
            watermark: '2025-11-22T08:26:58.100Z',
            ads: [
              { rank: 1, ad_id: 'ad-42', count: 1200, gross: 1251, net: 1200, invalid: 34 },
              { rank: 2, ad_id: 'ad-7', count: 980, gross: 981, net: 980, invalid: 0 },
            ],
            next_cursor: null,
          },
        ],
      },
    ),
    ...problems,
    404: ProblemSchema,
  },
} as const;
