/** GET /v1/ads/{ad_id}/aggregated_count: the clicks of one ad in a range of minutes. */

import { Type } from 'typebox';
import { type Http, ProblemSchema } from '../../../infra/http.ts';
import { invalid } from '../../../infra/problem.ts';
import {
  compareParameter,
  previousField,
  previousRange,
  readPrevious,
  withPrevious,
} from '../../answers/comparison.ts';
import {
  isFromRaw,
  type ReadCounts,
  type Reading,
  readTotals,
  selectionOf,
  sourceField,
  type Wanted,
} from '../../answers/readings.ts';
import { noCounts } from '../../answers/shown-counts.ts';
import { uniquesField, uniquesParameter } from '../../answers/uniques.ts';
import { clickParameters, reasonsFields, shownClicks, shownClicksField } from '../../http/asked-clicks.ts';
import { filterFields, filterParameters, shownFilter } from '../../http/asked-filter.ts';
import { momentOf, rangeOf } from '../../http/asked-range.ts';
import {
  AdIdParams,
  anyCountFields,
  asAskedFor,
  isoOf,
  problems,
  rangeFields,
  rangeParameters,
  statedFields,
  timeField,
} from '../../http/parameters.ts';
import type { AdStore } from '../../store/ad-store.ts';
import { type Finality, stateAt } from '../../store/finality.ts';
import type { AdsDeps } from './ads-deps.ts';
import { answerStated } from './stated-answer.ts';
import { wantedClicks } from './wanted-clicks.ts';

export function routeAggregatedCount(http: Http, { storeFor, rules, keptForms }: AdsDeps): void {
  http.get(
    '/v1/ads/:ad_id/aggregated_count',
    { schema, config: { scope: 'read', tenants: 'limited' } },
    async (request, reply) => {
      const store = storeFor(request);
      const { ad_id } = request.params;
      const { uniques = false, compare } = request.query;
      const range = rangeOf(request.query, rules());
      const asOf = momentOf('as_of', request.query.as_of, rules());
      const before = compare && previousRange(range);
      const wanted = await wantedClicks({ ...store, rules, keptForms }, request.query, range, {
        adIds: [ad_id],
        uniques,
        before,
      });
      if (asOf !== undefined) checkUndoing(request.query.as_of, wanted, request.query);
      const question = { range, whole: withPrevious(range, before), adIds: [ad_id], asked: request.query };
      const found = await answerStated(store, reply, question, async ({ known, finality, pending }) => {
        const stated = { ...wanted, ...known };
        const [reading, previous, isRestated] = await Promise.all([
          asOf === undefined ? readTotals(store, stated, finality) : readTotalsAsOf(asOf, store, stated, finality),
          before && readPrevious(store, { ...stated, ...before }, finality, pending),
          stateAt(finality, range.to) === 'final' && store.restatements.isRestated(selectionOf(stated), ad_id, asOf),
        ]);
        return { ...reading, previous, isRestated };
      });
      const { rows, source, previous, head } = found;
      return {
        ...head,
        ad_id,
        ...shownFilter(request.query),
        ...shownClicks(request.query),
        ...(asOf === undefined ? {} : { as_of: isoOf(asOf) }),
        ...(rows[0] ?? noCounts.counts),
        source,
        ...(previous === undefined ? {} : { previous }),
      };
    },
  );
}

/** What a restatement has added is known by country, but not by user or address, and only in the range itself. */
function checkUndoing(
  text: string | undefined,
  wanted: Pick<Wanted, 'filter' | 'uniques'>,
  { compare, reasons }: { readonly compare?: string; readonly reasons?: boolean },
): void {
  if (isFromRaw(wanted))
    throw invalid(
      'as_of',
      text,
      'cannot be used together with user_id, ip, uniques, or a filter on users or addresses',
      'leave one out',
    );
  if (compare) throw invalid('as_of', text, 'cannot be used together with compare', 'leave one out');
  if (reasons) throw invalid('as_of', text, 'cannot be used together with reasons', 'leave one out');
}

/** Reads the counts as they were at `asOf`, before later restatements. */
async function readTotalsAsOf(
  asOf: number,
  store: AdStore,
  wanted: Wanted,
  known: Finality,
): Promise<Reading<ReadCounts>> {
  const [adId = ''] = wanted.adIds;
  return await readTotals(store, wanted, known, () => store.restatements.addedSince(adId, selectionOf(wanted), asOf));
}

const schema = {
  tags: ['ads'],
  operationId: 'getAggregatedCount',
  summary: 'The clicks of one ad in a range of minutes (without from and to: in the last full minute)',
  description:
    'The count is based on the `watermark` in the same answer. `state` is the state of the whole range: it is `final` when no more clicks can be added to any of its minutes. With `as_of`, later restatements are undone.',
  params: AdIdParams,
  querystring: Type.Object(
    {
      ...rangeParameters,
      ...filterParameters,
      ...clickParameters,
      uniques: uniquesParameter,
      compare: compareParameter('Adds the counts of the range of the same length right before.'),
      as_of: Type.Optional(
        Type.String({
          description:
            'Answers what was answered at this time for final minutes, without later restatements. Any moment, in the form of `from`. If the first restatement of a count took clicks away and left only late ones, how many of those that it took were late is not stored. Then `late` before it is the lowest number that is possible.',
        }),
      ),
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object(
      {
        ad_id: Type.String(),
        ...rangeFields,
        ...filterFields,
        ...shownClicksField,
        as_of: Type.Optional(timeField(asAskedFor)),
        ...anyCountFields,
        ...reasonsFields,
        uniques: uniquesField,
        source: sourceField,
        ...statedFields,
        previous: previousField('the counts of the previous range.'),
      },
      {
        additionalProperties: false,
        examples: [
          {
            ad_id: 'ad-42',
            from: '2025-11-22T08:26:00.000Z',
            to: '2025-11-22T08:27:00.000Z',
            count: 1200,
            duplicates: 17,
            late: 3,
            gross: 1251,
            net: 1200,
            invalid: 34,
            source: 'counts',
            state: 'final',
            pending_late: 0,
            pending_split: 0,
            watermark: '2025-11-22T08:29:31.204Z',
          },
        ],
      },
    ),
    ...problems,
    404: ProblemSchema,
  },
} as const;
