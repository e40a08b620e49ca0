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
import { isFromRaw, readPopularAds, selectionOf, sourceField } from '../../answers/readings.ts';
import { uniquesField, uniquesParameter } from '../../answers/uniques.ts';
import { checkRaw, filterFields, filterOf, filterParameters, shownFilter } from '../../http/asked-filter.ts';
import { windowOf } from '../../http/asked-range.ts';
import { cursorParameter, nextCursorField, pageOf } from '../../http/cursor.ts';
import {
  countField,
  isoOf,
  pendingLateField,
  problems,
  rangeParameters,
  stateField,
  timeField,
  watermarkField,
} from '../../http/parameters.ts';
import { rankingCursorsOf } from '../../http/ranking-cursor.ts';
import { stateAt } from '../../store/finality.ts';
import type { AdsDeps } from './ads-deps.ts';
import { answerStated } from './stated-answer.ts';

const cursors = rankingCursorsOf('popular_ads');

export function routePopularAds(http: Http, deps: AdsDeps): void {
  const { restatements, filters, rules } = deps;
  http.get('/v1/ads/popular_ads', { schema, config: { scope: 'read' } }, async (request, reply) => {
    const { count = 100, cursor, uniques = false, compare, ...question } = request.query;
    const place = cursors.read(cursor, question, rules());
    const range = place?.range ?? windowOf(question, rules());
    const wanted = { ...range, adIds: [], filter: await filterOf(question, filters), uniques };
    const before = compare && previousRange(range);
    if (isFromRaw(wanted)) checkRaw(before ?? range, rules());
    const whole = withPrevious(range, before);
    // A cursor names the minutes, too.
    const asked = place ? { ...question, from: isoOf(range.from) } : question;
    const found = await answerStated(
      deps,
      reply,
      { range, whole, adIds: [], asked },
      async ({ known, finality, late }) => {
        const [reading, isRestated] = await Promise.all([
          readPopularAds(deps, count + 1, { ...wanted, ...known }, finality, place?.after),
          stateAt(finality, range.to) === 'final' && restatements.isRestated(selectionOf({ ...wanted, ...known })),
        ]);
        const listed = reading.rows.slice(0, count).map(ad => ad.ad_id);
        const previous =
          before && (await readPreviousRanks(deps, listed, { ...wanted, ...known, ...before }, finality, late));
        return { ...reading, previous, isRestated };
      },
    );
    const { rows, source, previous, head } = found;
    const ranked = rows.map((ad, i) => ({ rank: (place?.after.rank ?? 0) + i + 1, ...ad }));
    const page = pageOf(ranked, count, last => cursors.write(range, last, question));
    return {
      ...head,
      ...shownFilter(question),
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
    '`window` counts back from the last full minute; the running minute is not in it. Give `window`, or `from` and `to`, or neither.',
  querystring: Type.Object(
    {
      count: Type.Optional(Type.Integer({ default: 100, minimum: 1, maximum: 1_000, description: 'ads of a page' })),
      window: Type.Optional(
        Type.Integer({ minimum: 1, description: 'the last so many full minutes (default 1); not beside from and to' }),
      ),
      ...rangeParameters,
      ...filterParameters,
      uniques: uniquesParameter,
      compare: compareParameter('also where each ad stood in as long a range right before'),
      cursor: cursorParameter,
    },
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
        ads: Type.Array(
          Type.Object(
            {
              rank: Type.Integer({ minimum: 1 }),
              ad_id: Type.String(),
              count: countField('distinct clicks'),
              uniques: uniquesField,
              previous: previousRankField,
            },
            { additionalProperties: false },
          ),
          { description: 'most clicks first; equal counts in the order of ad_id; ads without clicks are not listed' },
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
            watermark: '2025-11-22T08:26:58.100Z',
            ads: [
              { rank: 1, ad_id: 'ad-42', count: 1234 },
              { rank: 2, ad_id: 'ad-7', count: 980 },
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
