/** GET /v1/ads: finds ads by the beginning of their id or by a part of it, with the clicks that pass a filter. */
import { Type } from 'typebox';
import { explained } from '../../../infra/broken-rule.ts';
import { type Http, ProblemSchema } from '../../../infra/http.ts';
import { readNamedAds, selectionOf, sourceField } from '../../answers/readings.ts';
import { clicksParameter, shownClicks, shownClicksField } from '../../http/asked-clicks.ts';
import { filterFields, filterParameters, shownFilter } from '../../http/asked-filter.ts';
import { rangeOf, searchRangeOf } from '../../http/asked-range.ts';
import { nextCursorField, pageOf, pageParameters } from '../../http/cursor.ts';
import {
  anyClicksFields,
  asAskedFor,
  problems,
  rangeFields,
  rangeParameters,
  statedFields,
} from '../../http/parameters.ts';
import { rankingCursorsOf } from '../../http/ranking-cursor.ts';
import { stateAt } from '../../store/finality.ts';
import type { AdsDeps } from './ads-deps.ts';
import { answerStated } from './stated-answer.ts';
import { wantedClicks } from './wanted-clicks.ts';

const cursors = rankingCursorsOf('ads');

export function routeAdSearch(http: Http, { storeFor, rules, keptForms }: AdsDeps): void {
  http.get('/v1/ads', { schema, config: { scope: 'read', tenants: 'limited' } }, async (request, reply) => {
    const store = storeFor(request);
    const { limit = 20, cursor, ...question } = request.query;
    const { prefix = '', contains: text = '' } = question;
    const asked = question.from !== undefined || question.to !== undefined;
    const place = cursors.read(cursor, question, store.sight, rules());
    const range = place?.range ?? (asked ? rangeOf(question, rules()) : searchRangeOf(rules()));
    const whose = await wantedClicks({ ...store, rules, keptForms }, question, range);
    // The state and `pending_late` are those of all ads, not only of the ads that are found.
    const found = await answerStated(store, reply, { range, adIds: [] }, async ({ known, finality }) => {
      const wanted = { ...whose, ...known };
      const [reading, isRestated] = await Promise.all([
        readNamedAds(store, { prefix, text }, limit + 1, wanted, finality, place?.after),
        stateAt(finality, range.to) === 'final' && store.restatements.isRestated(selectionOf(wanted)),
      ]);
      return { ...reading, isRestated };
    });
    const { rows, source, head } = found;
    const page = pageOf(rows, limit, last => cursors.write(range, { rank: 0, ...last }, question, store.sight));
    return {
      ...head,
      ...shownFilter(question),
      ...shownClicks(question),
      source,
      prefix,
      ...(text === '' ? {} : { contains: text }),
      ads: [...page.rows],
      next_cursor: page.next_cursor,
    };
  });
}

const schema = {
  tags: ['ads'],
  operationId: 'findAds',
  summary: 'Ads whose id begins with or contains a text, with their clicks (without from and to: in the last 24 hours)',
  description:
    'Finds all ads that were clicked in the range, and no others. Ads of which no click is valid come last, with `net` 0. With a filter, only clicks that pass it count.',
  querystring: Type.Object(
    {
      prefix: Type.Optional(
        Type.String({
          pattern: explained(/^[A-Za-z0-9._:-]{0,128}$/, 'up to 128 of A-Z a-z 0-9 . _ : -').source,
          default: '',
          description: 'The beginning of the id. Capital and small letters are different.',
          examples: ['ad-4'],
        }),
      ),
      contains: Type.Optional(
        Type.String({
          pattern: '^[A-Za-z0-9._:-]{0,128}$',
          description: 'A part of the id. Capital and small letters are the same.',
          examples: ['banner'],
        }),
      ),
      ...pageParameters('ads', { default: 20, maximum: 1_000 }),
      ...rangeParameters,
      ...filterParameters,
      clicks: clicksParameter,
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object(
      {
        prefix: Type.String({ description: asAskedFor }),
        contains: Type.Optional(Type.String({ description: asAskedFor })),
        ...rangeFields,
        ...filterFields,
        ...shownClicksField,
        source: sourceField,
        ...statedFields,
        ads: Type.Array(Type.Object({ ad_id: Type.String(), ...anyClicksFields }, { additionalProperties: false }), {
          description: 'Ordered by clicks, most first, then by `ad_id`.',
        }),
        next_cursor: nextCursorField,
      },
      { additionalProperties: false },
    ),
    ...problems,
    404: ProblemSchema,
  },
} as const;
