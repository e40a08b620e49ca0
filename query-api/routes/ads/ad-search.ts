/** GET /v1/ads: which ads there are, by the beginning of their id, or by what stands in it, also of some clicks only. */
import { Type } from 'typebox';
import { explained } from '../../../infra/broken-rule.ts';
import { type Http, ProblemSchema } from '../../../infra/http.ts';
import { isFromRaw, readNamedAds, selectionOf, sourceField } from '../../answers/readings.ts';
import { checkRaw, filterFields, filterOf, filterParameters, shownFilter } from '../../http/asked-filter.ts';
import { rangeOf, searchRangeOf } from '../../http/asked-range.ts';
import { cursorParameter, nextCursorField, pageOf } from '../../http/cursor.ts';
import {
  countField,
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

const cursors = rankingCursorsOf('ads');

export function routeAdSearch(http: Http, deps: AdsDeps): void {
  const { restatements, filters, rules } = deps;
  http.get('/v1/ads', { schema, config: { scope: 'read' } }, async (request, reply) => {
    const { limit = 20, cursor, ...question } = request.query;
    const { prefix = '', contains: text = '' } = question;
    const asked = question.from !== undefined || question.to !== undefined;
    const place = cursors.read(cursor, question, rules());
    const range = place?.range ?? (asked ? rangeOf(question, rules()) : searchRangeOf(rules()));
    const whose = { ...range, adIds: [], filter: await filterOf(question, filters), uniques: false };
    if (isFromRaw(whose)) checkRaw(range, rules());
    // The state and the late clicks are those of all ads.
    const found = await answerStated(deps, reply, { range, adIds: [] }, async ({ known, finality }) => {
      const wanted = { ...whose, ...known };
      const [reading, isRestated] = await Promise.all([
        readNamedAds(deps, { prefix, text }, limit + 1, wanted, finality, place?.after),
        stateAt(finality, range.to) === 'final' && restatements.isRestated(selectionOf(wanted)),
      ]);
      return { ...reading, isRestated };
    });
    const { rows, source, head } = found;
    const page = pageOf(rows, limit, last => cursors.write(range, { rank: 0, ...last }, question));
    return {
      ...head,
      ...shownFilter(question),
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
  summary: 'Ads whose id begins so, or has this in it, with their clicks (without from and to: in the last 24 hours)',
  description: 'Only ads that were clicked in the range are found; with a filter, by such clicks.',
  querystring: Type.Object(
    {
      prefix: Type.Optional(
        Type.String({
          pattern: explained(/^[A-Za-z0-9._:-]{0,128}$/, 'up to 128 of A-Z a-z 0-9 . _ : -').source,
          default: '',
          description: 'how the id begins; capital letters are others than small ones',
          examples: ['ad-4'],
        }),
      ),
      contains: Type.Optional(
        Type.String({
          pattern: '^[A-Za-z0-9._:-]{0,128}$',
          description: 'what stands anywhere in the id, in capital or small letters',
          examples: ['banner'],
        }),
      ),
      limit: Type.Optional(Type.Integer({ default: 20, minimum: 1, maximum: 1_000, description: 'ads of a page' })),
      cursor: cursorParameter,
      ...rangeParameters,
      ...filterParameters,
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object(
      {
        prefix: Type.String({ description: 'as asked for' }),
        contains: Type.Optional(Type.String({ description: 'as asked for' })),
        from: timeField('begin, inclusive'),
        to: timeField('end, exclusive'),
        ...filterFields,
        source: sourceField,
        state: stateField,
        pending_late: pendingLateField,
        watermark: watermarkField,
        ads: Type.Array(
          Type.Object(
            { ad_id: Type.String(), count: countField('distinct clicks in the range') },
            { additionalProperties: false },
          ),
          { description: 'most clicks first; equal counts in the order of ad_id' },
        ),
        next_cursor: nextCursorField,
      },
      { additionalProperties: false },
    ),
    ...problems,
    404: ProblemSchema,
  },
} as const;
