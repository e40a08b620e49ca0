/** GET /v1/ads/most_clicked: the top list as it stood at a moment. */

import { Type } from 'typebox';
import type { Http } from '../../../infra/http.ts';
import { momentOf } from '../../http/asked-range.ts';
import {
  countField,
  isoOf,
  pendingLateField,
  problems,
  stateField,
  timeField,
  watermarkField,
} from '../../http/parameters.ts';
import { stateAt } from '../../store/finality.ts';
import { windows } from '../../store/rollup/due-blocks.ts';
import { minuteMs } from '../../time/time-range.ts';
import type { AdsDeps } from './ads-deps.ts';
import { answerStated } from './stated-answer.ts';

export function routeMostClicked(http: Http, deps: AdsDeps): void {
  const { history, tops, restatements, rules } = deps;
  http.get('/v1/ads/most_clicked', { schema, config: { scope: 'read' } }, async (request, reply) => {
    const { at: asked, window = 1, count = 100 } = request.query;
    const at = momentOf('at', asked, rules()) ?? rules().now;
    const to = at - (at % minuteMs);
    const range = { from: Math.max(0, to - window * minuteMs), to };
    const question = { range, adIds: [], asked: asked === undefined ? {} : { from: asked } };
    const { ads, isStored, head } = await answerStated(deps, reply, question, async ({ known, finality }) => {
      const selection = { ...range, ...known, country: undefined };
      const [found, isRestated] = await Promise.all([
        history.mostClicked(window, range, count),
        stateAt(finality, to) === 'final' && restatements.isRestated(selection),
      ]);
      const isStored = found?.isWhole === true;
      return { ads: isStored ? found.ads : await tops.popularAds(count, selection), isStored, isRestated };
    });
    return {
      ...head,
      at: isoOf(at),
      window,
      source: isStored ? ('stored' as const) : ('computed' as const),
      ads: ads.map((ad, i) => ({ rank: i + 1, ...ad })),
    };
  });
}

const windowField = Type.Enum([...windows], { type: 'integer', default: 1, description: 'minutes: 1, 5 or 60' });

const schema = {
  tags: ['ads'],
  operationId: 'getMostClicked',
  summary: 'The ads with the most clicks in the full minutes before a moment',
  description:
    'What the top list was at 14:05, say. It is kept for the end of every minute, once that is final, and made anew when a count in its window is restated.',
  querystring: Type.Object(
    {
      at: Type.Optional(
        Type.String({
          description: 'the moment: RFC 3339 with zone, or epoch milliseconds, up to now; default: now',
          examples: ['2025-11-22T14:05:00Z'],
        }),
      ),
      window: Type.Optional(windowField),
      count: Type.Optional(Type.Integer({ default: 100, minimum: 1, maximum: 100, description: 'ads to list' })),
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object(
      {
        at: timeField('as asked for'),
        window: windowField,
        from: timeField('begin, inclusive'),
        to: timeField('end, exclusive: the last full minute before `at`'),
        state: stateField,
        pending_late: pendingLateField,
        watermark: watermarkField,
        source: Type.Enum(['stored', 'computed'], {
          type: 'string',
          description:
            '`stored`: worked out once the window was final; `computed`: now, from the counts of its minutes',
        }),
        ads: Type.Array(
          Type.Object(
            { rank: Type.Integer({ minimum: 1 }), ad_id: Type.String(), count: countField('distinct clicks') },
            { additionalProperties: false },
          ),
          { description: 'most clicks first; equal counts in the order of ad_id; ads without clicks are not listed' },
        ),
      },
      { additionalProperties: false },
    ),
    ...problems,
  },
} as const;
