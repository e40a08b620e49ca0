/**
 * Serves click links: `GET /c/{ad_id}` keeps the click, and then redirects to its destination.
 *
 * A link that is not right never leads to the destination that it names. It leads to the landing page of the setting, or
 * to an answer of 404. All refusals look the same from outside; why is in quarantine.
 *
 * When neither Kafka nor the spool takes the click, the answer is 503, and the browser tries again by itself after two
 * seconds: the link is the same, so the click counts once. To redirect without the click would lose it and tell nobody.
 */
import type { FastifyReply } from 'fastify';
import { Type } from 'typebox';
import { Retryable } from '../../infra/errors.ts';
import { type Http, Problem, ProblemSchema, refuseOtherMethods } from '../../infra/http.ts';
import type { Clients } from '../../infra/http-clients.ts';
import { countRefusal } from '../../infra/http-refusals.ts';
import { isGoodIn, type Region, requireRegion, wrongRegionCode } from '../../infra/keys/region.ts';
import type { Logger } from '../../infra/log.ts';
import { counter } from '../../infra/metrics.ts';
import { traceContextOf } from '../../infra/trace-context.ts';
import { browserFieldsOf } from '../browser-fields.ts';
import { createClickIdMint } from '../click-id.ts';
import type { ClickLog } from '../click-log.ts';
import { unknownCountry } from '../country.ts';
import type { ClickTime } from '../hot-ads/receipt-clock.ts';
import { type KeepClick, keepOutcomes } from '../spool/keep-click.ts';
import { checkLink, type LinkQuery } from './link-check.ts';
import type { LinkKeys } from './link-keys.ts';
import { createRefusedLinks } from './refused-links.ts';

export interface LinkRouteDeps {
  readonly keep: KeepClick;
  readonly clickLog: Pick<ClickLog, 'append'>;
  readonly log: Logger;
  readonly clients: Clients;
  readonly keys: () => LinkKeys;
  /** Where this process is. */
  readonly region: Region;
  /** Empty if there is none. */
  readonly safeLanding: string;
  /** Epoch ms. */
  readonly now: () => number;
  /** The time of receipt. Where it differs from `now`, a link is good that is good at one of them. */
  readonly clickTime: ClickTime;
}

/** When a browser loads the link again that could not be kept. */
const tryAgainS = 2;

export function routeLinks(http: Http, deps: LinkRouteDeps): void {
  const { keep, clients, keys, region, safeLanding, now, clickTime } = deps;
  const refusals = createRefusedLinks(deps.clickLog, deps.log);
  const mint = createClickIdMint();
  http.get('/c/:ad_id', {
    schema: routeSchema,
    // The signature of the link says what is allowed.
    config: { scope: 'open' },
    // The schema only documents the parameters. `link-check.ts` checks them, and tells nobody what is wrong.
    validatorCompiler: () => () => true,
    handler: async (request, reply) => {
      const { ad_id: adId } = request.params as { ad_id: string };
      const query = request.query as LinkQuery;
      const at = clickTime.now();
      const { network } = clients.of(request.raw);
      reply.header('cache-control', 'no-store');
      // The destination sees from which site its visitor comes, and not from which page.
      reply.header('referrer-policy', 'strict-origin');
      const linkKeys = keys();
      if (linkKeys.keys.size === 0) throw noLink();
      const byReceipt = checkLink(linkKeys, adId, query, at);
      const isByReceipt = byReceipt.ok || clickTime.doubt() === undefined;
      const verdict = isByReceipt ? byReceipt : checkLink(linkKeys, adId, query, now());
      if (!verdict.ok) {
        refusals.add({ reason: verdict.reason, detail: verdict.detail, adId, query, network, at });
        if (safeLanding === '') throw noLink();
        return redirected(reply, safeLanding);
      }
      const { eventId, clickedAt, destination, keyId, region: itsRegion } = verdict;
      // Of a link of another region nothing stays here, also not in quarantine.
      if (safeLanding !== '' && !isGoodIn(region, itsRegion)) {
        countRefusal(wrongRegionCode);
        return redirected(reply, safeLanding);
      }
      requireRegion(`link key ${keyId}`, itsRegion, region);
      const click = {
        ...{ clickId: mint(at), eventId, adId, clickedAt, receivedAt: at, country: unknownCountry },
        ...browserFieldsOf(request, clients),
      };
      try {
        outcomes.inc({ outcome: await keep(click, { trace: traceContextOf(request.headers), network }) });
      } catch (error) {
        outcomes.inc({ outcome: 'unavailable' });
        if (error instanceof Retryable) throw notKept(reply, error);
        throw error;
      }
      return redirected(reply, destination);
    },
  });
  refuseOtherMethods(http, '/c/:ad_id', ['GET', 'HEAD']);
}

function redirected(reply: FastifyReply, to: string): FastifyReply {
  return reply.code(302).header('location', to).send();
}

function noLink(): Problem {
  return new Problem(404, 'no_such_link', 'there is no such link, or it has expired');
}

function notKept(reply: FastifyReply, reason: Retryable): Problem {
  reply.header('refresh', `${tryAgainS}`);
  const detail = `${reason.message}; load the same link again`;
  return new Problem(503, 'unavailable', detail, {}, tryAgainS);
}

const routeSchema = {
  tags: ['clicks'],
  operationId: 'followClickLink',
  summary: 'Count a click and redirect to its destination',
  description:
    'A signed click link. The click is kept before the answer is sent, and counts once, however often the link is loaded. Whoever has a link key makes such links (`adclicks link`). A link that was altered, has expired or is for another ad leads to the landing page that the operator has set, or to 404, and does not count. Nor does a link of another region, which leads to the landing page or to 403. With 503 the same link can be loaded again, which browsers do by themselves. Further parameters are ignored.',
  params: Type.Object({ ad_id: Type.String({ description: 'the ad' }) }),
  querystring: Type.Object({
    e: Type.String({ description: 'event id: together with the ad, the identity of the click' }),
    t: Type.String({ description: 'when the link was made, in epoch seconds: the time of the click' }),
    x: Type.String({ description: 'when the link expires, in epoch seconds: at most 7 days after t' }),
    d: Type.Optional(
      Type.String({ description: 'destination: an absolute http or https URL; without it, the one in the key file' }),
    ),
    k: Type.String({ description: 'id of the link key' }),
    s: Type.String({ description: 'signature' }),
  }),
  response: {
    302: Type.Null({ description: 'To the destination, or to the landing page of links that are refused' }),
    403: ProblemSchema,
    404: ProblemSchema,
    429: ProblemSchema,
    503: ProblemSchema,
  },
};

const outcomes = counter('link_clicks_total', 'Clicks of links, by where they were kept before the redirect', [
  'outcome',
]);
for (const outcome of keepOutcomes) outcomes.inc({ outcome }, 0);
