/**
 * Serves what pages need to send clicks from browsers: the script, the beacon to which it sends (`POST /b`), and the pixel
 * for pages without scripts (`GET /p/{ad_id}.gif`). README.md says how pages use them.
 *
 * A click is answered when it is kept: Kafka has acknowledged it, or the spool has it. The key is in the address, because
 * a beacon can set no header, and so that the answer to a preflight, which has no body, can go by it. What the key allows
 * is decided before a body is looked at, but for its ads.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Retryable } from '../../infra/errors.ts';
import { type Http, Problem, refuseOtherMethods } from '../../infra/http.ts';
import type { Clients } from '../../infra/http-clients.ts';
import type { RateLimit } from '../../infra/http-rate-limit.ts';
import type { Key } from '../../infra/keys/key-book.ts';
import { publicScope } from '../../infra/keys/scopes.ts';
import type { Logger } from '../../infra/log.ts';
import { counter } from '../../infra/metrics.ts';
import { traceContextOf } from '../../infra/trace-context.ts';
import { browserFieldsOf } from '../browser-fields.ts';
import type { Click } from '../click.ts';
import { createClickIdMint } from '../click-id.ts';
import type { ClickLog } from '../click-log.ts';
import { type KeepClick, keepOutcomes } from '../spool/keep-click.ts';
import { beaconClicks, maxBeaconBytes } from './beacon.ts';
import type { BrowserVerdict, Sending } from './browser-click.ts';
import { checkPage } from './page-origin.ts';
import { type PixelQuery, pixelClick, pixelGif } from './pixel.ts';
import { createRefusedBrowserClicks, type Via } from './refused-browser-clicks.ts';
import { beaconSchema, pixelSchema, scriptSchema } from './route-schemas.ts';
import { servedSnippet } from './served-snippet.ts';

export interface BrowserRouteDeps {
  readonly keep: KeepClick;
  readonly clickLog: Pick<ClickLog, 'append'>;
  readonly log: Logger;
  readonly clients: Clients;
  readonly rateLimit: RateLimit;
  /** Takes clicks beyond the first out of the quota of the key. @throws Problem 429 */
  readonly takeFurther: (key: Key | undefined, clicks: number) => void;
  /** Epoch ms. */
  readonly now: () => number;
}

/** How long a browser may remember what a preflight has said. Chromium takes no more than two hours. */
const preflightMaxAgeS = 7_200;
const scriptMaxAgeS = 3_600;

export function routeBrowserClicks(http: Http, deps: BrowserRouteDeps): void {
  const { clients, rateLimit, takeFurther } = deps;
  const { allowPage, accept, sendingOf } = browserClicks(deps);
  const common = { config: { scope: publicScope }, validatorCompiler: () => () => true } as const;

  http.route({
    method: ['OPTIONS'],
    url: '/b',
    // No program asks for it: browsers do, by themselves.
    schema: { hide: true },
    ...common,
    handler: async (request, reply) => {
      allowPage(request, reply, 'preflight');
      reply.header('access-control-allow-methods', 'POST').header('access-control-allow-headers', 'content-type');
      reply.header('access-control-max-age', `${preflightMaxAgeS}`);
      return withoutBody(reply);
    },
  });

  http.post('/b', { schema: beaconSchema, bodyLimit: maxBeaconBytes, ...common }, async (request, reply) => {
    allowPage(request, reply, 'beacon');
    const body = Buffer.concat(Array.isArray(request.body) ? request.body : []);
    const isJson = /^\s*application\/json\b/i.test(request.headers['content-type'] ?? '');
    const verdicts = beaconClicks(body, isJson, sendingOf(request));
    // One was taken when the request arrived.
    rateLimit.charge(clients.of(request.raw), verdicts.length - 1);
    takeFurther(request.apiKey, verdicts.length - 1);
    await accept(request, 'beacon', verdicts);
    return withoutBody(reply);
  });
  refuseOtherMethods(http, '/b', ['POST', 'OPTIONS']);

  http.get('/p/:ad_id.gif', { schema: pixelSchema, ...common }, async (request, reply) => {
    // A page may say that it embeds nothing but what agrees to it.
    reply.header('cross-origin-resource-policy', 'cross-origin');
    allowPage(request, reply, 'pixel');
    const { ad_id: adId } = request.params as { readonly ad_id: string };
    await accept(request, 'pixel', [pixelClick(adId, request.query as PixelQuery, sendingOf(request))]);
    return whole(reply, 'image/gif', pixelGif);
  });
  refuseOtherMethods(http, '/p/:ad_id.gif', ['GET', 'HEAD']);

  const script = servedSnippet();
  http.get('/click.js', { schema: scriptSchema, config: { scope: 'open' } }, async (_request, reply) => {
    reply.header('cache-control', `public, max-age=${scriptMaxAgeS}`);
    reply.header('access-control-allow-origin', '*').header('cross-origin-resource-policy', 'cross-origin');
    return whole(reply, 'text/javascript; charset=utf-8', script);
  });
  refuseOtherMethods(http, '/click.js', ['GET', 'HEAD']);
}

function withoutBody(reply: FastifyReply): FastifyReply {
  return reply.code(204).send();
}

function whole(reply: FastifyReply, type: string, content: string | Buffer): FastifyReply {
  return reply.type(type).send(content);
}

/** What beacon and pixel have in common. The gate has let in only requests with a public key. */
function browserClicks({ keep, clickLog, log, clients, now }: BrowserRouteDeps) {
  const refusals = createRefusedBrowserClicks(clickLog, log);
  const mint = createClickIdMint();
  const originOf = ({ raw, headers }: FastifyRequest) => ({
    trace: traceContextOf(headers),
    network: clients.of(raw).network,
  });
  const kept = async (request: FastifyRequest, via: Via, click: Click) => {
    const fields = browserFieldsOf(request, clients);
    try {
      outcomes.inc({ via, outcome: await keep({ ...click, ...fields }, originOf(request)) });
    } catch (error) {
      outcomes.inc({ via, outcome: 'unavailable' });
      if (error instanceof Retryable) throw new Problem(503, 'unavailable', `${error.message}; send it again`, {}, 2);
      throw error;
    }
  };
  return {
    /** @throws Problem */
    allowPage(request: FastifyRequest, reply: FastifyReply, via: Via | 'preflight'): void {
      reply.header('cache-control', 'no-store');
      const refusal = checkPage(request, reply, request.apiKey?.created.origins ?? []);
      if (refusal === undefined) return;
      // A preflight is no click.
      if (via !== 'preflight') refusals.add({ ...refusal, ...who(request), via, page: refusal.page });
      throw new Problem(403, refusal.reason, refusal.detail);
    },

    /** @throws Problem if no click is valid, or one is not kept */
    async accept(request: FastifyRequest, via: Via, verdicts: readonly BrowserVerdict[]): Promise<void> {
      const refused = verdicts.filter(verdict => !verdict.ok);
      for (const { reason, detail, given } of refused)
        refusals.add({ ...{ reason, detail, via }, ...who(request), adId: given.adId, eventId: given.eventId });
      const clicks = verdicts.flatMap(verdict => (verdict.ok ? [verdict.click] : []));
      const [first] = refused;
      if (clicks.length === 0 && first) throw new Problem(400, first.reason, first.detail);
      await Promise.all(clicks.map(click => kept(request, via, click)));
    },

    sendingOf: ({ apiKey }: FastifyRequest): Sending => ({
      receivedAt: now(),
      // A key without one does not exist (infra/keys/new-key.ts), and this begins no ad id.
      adIdPrefix: apiKey?.created.ad_id_prefix ?? '\0',
      mint,
    }),
  };

  function who(request: FastifyRequest) {
    return { keyId: request.apiKey?.id, network: clients.of(request.raw).network, at: now() };
  }
}

const outcomes = counter('browser_clicks_total', 'Clicks of beacons and pixels, by where they were kept', [
  'via',
  'outcome',
]);
for (const via of ['beacon', 'pixel']) for (const outcome of keepOutcomes) outcomes.inc({ via, outcome }, 0);
