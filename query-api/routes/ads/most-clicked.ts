/** GET /v1/ads/most_clicked: the top list of the full minutes before a moment. */

import { Type } from 'typebox';
import type { Http } from '../../../infra/http.ts';
import { knownClicksOf } from '../../answers/shown-counts.ts';
import { clicksParameter, shownClicks, shownClicksField } from '../../http/asked-clicks.ts';
import { momentOf } from '../../http/asked-range.ts';
import { clicksFields, isoOf, problems, statedFields, timeField } from '../../http/parameters.ts';
import { stateAt } from '../../store/finality.ts';
import { windows } from '../../store/rollup/due-blocks.ts';
import { minuteMs } from '../../time/time-range.ts';
import type { AdsDeps } from './ads-deps.ts';
import { answerStated } from './stated-answer.ts';

export function routeMostClicked(http: Http, { storeFor, rules }: AdsDeps): void {
  http.get(
    '/v1/ads/most_clicked',
    { schema, config: { scope: 'read', tenants: 'limited' } },
    async (request, reply) => {
      const store = storeFor(request);
      const { at: asked, window = 1, count = 100, clicks = 'net' } = request.query;
      const at = momentOf('at', asked, rules()) ?? rules().now;
      const to = at - (at % minuteMs);
      const range = { from: Math.max(0, to - window * minuteMs), to };
      const question = { range, adIds: [], asked: asked === undefined ? {} : { from: asked } };
      const { ads, isStored, head } = await answerStated(store, reply, question, async ({ known, finality }) => {
        const selection = { ...range, ...known, country: undefined, clicks };
        const [found, isRestated] = await Promise.all([
          // What is stored is in the order of net clicks.
          clicks === 'net' ? store.history.mostClicked(window, range, count) : undefined,
          stateAt(finality, to) === 'final' && store.restatements.isRestated(selection),
        ]);
        const isStored = found?.isWhole === true;
        return { ads: isStored ? found.ads : await store.tops.popularAds(count, selection), isStored, isRestated };
      });
      return {
        ...head,
        at: isoOf(at),
        window,
        ...shownClicks(request.query),
        source: isStored ? ('stored' as const) : ('computed' as const),
        ads: ads.map((ad, i) => ({ rank: i + 1, ad_id: ad.ad_id, ...knownClicksOf(ad, clicks) })),
      };
    },
  );
}

const windowField = Type.Enum([...windows], {
  type: 'integer',
  default: 1,
  description: 'Length in minutes: 1, 5 or 60.',
});

const schema = {
  tags: ['ads'],
  operationId: 'getMostClicked',
  summary: 'The ads with the most clicks in the full minutes before a moment',
  description:
    'Answers what the top list was at 14:05, for example. A top list is stored for the end of every minute when that minute is final. It is computed again when a count in its window is restated.',
  querystring: Type.Object(
    {
      at: Type.Optional(
        Type.String({
          description:
            'The moment, as RFC 3339 with a zone or as epoch milliseconds. It must not be in the future. Default: now.',
          examples: ['2025-11-22T14:05:00Z'],
        }),
      ),
      window: Type.Optional(windowField),
      count: Type.Optional(
        Type.Integer({ default: 100, minimum: 1, maximum: 100, description: 'The most ads to list.' }),
      ),
      clicks: clicksParameter,
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object(
      {
        at: timeField('The moment of the request.'),
        window: windowField,
        from: timeField('Start of the range, inclusive.'),
        to: timeField('End of the range, exclusive. It is the end of the last full minute before `at`.'),
        ...shownClicksField,
        ...statedFields,
        source: Type.Enum(['stored', 'computed'], {
          type: 'string',
          description:
            '`stored`: computed when the window became final. `computed`: computed now from the counts of its minutes.',
        }),
        ads: Type.Array(
          Type.Object(
            { rank: Type.Integer({ minimum: 1 }), ad_id: Type.String(), ...clicksFields },
            { additionalProperties: false },
          ),
          {
            description:
              'Ordered by clicks, most first, then by `ad_id`. Ads without clicks of the kind that gives the order are not listed: by `net`, those of which all clicks are invalid, though `clicks=gross` has them.',
          },
        ),
      },
      { additionalProperties: false },
    ),
    ...problems,
  },
} as const;
