/**
 * Checks every request before anything is done for it: whether it is for this server, whether its client may ask for
 * more, and whether it has the API key that it needs, within the quotas of that key. It covers all routes at once,
 * including routes that are added later or do not exist, so that none can be left out.
 *
 * It is a single hook that does as little as possible, because it runs for every click that is posted alone.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Clients } from './http-clients.ts';
import type { HostCheck } from './http-hosts.ts';
import type { Http } from './http-instance.ts';
import { hostlessPaths, operationPaths } from './http-operations.ts';
import type { RateLimit } from './http-rate-limit.ts';
import type { Key } from './keys/key-book.ts';

export interface Guard {
  readonly checkHost: HostCheck;
  readonly clients: Clients;
  readonly rateLimit?: RateLimit | undefined;
  /** Runs for a request that has a key. @throws Problem if a quota of the key is used up */
  readonly withinQuotas?: ((request: FastifyRequest, reply: FastifyReply, key: Key) => void) | undefined;
  /** @throws Problem if the request does not have the key that it needs */
  readonly admit?: ((request: FastifyRequest, reply: FastifyReply) => void) | undefined;
}

export function guardRequests(http: Http, { checkHost, clients, rateLimit, admit, withinQuotas }: Guard): void {
  http.addHook('onRequest', (request, reply, done) => {
    const { raw } = request;
    reply.header('x-content-type-options', 'nosniff');
    const misdirected = checkHost(raw);
    if (misdirected && !hostlessPaths.has(pathOf(raw.url))) {
      done(misdirected);
      return;
    }
    const refusal =
      rateLimit === undefined || operationPaths.has(pathOf(raw.url)) ? undefined : rateLimit.admit(clients.of(raw));
    if (refusal === undefined) {
      admit?.(request, reply);
      if (request.apiKey !== undefined) withinQuotas?.(request, reply, request.apiKey);
    }
    done(refusal);
  });
}

/** Returns the path as it was sent. A path in another spelling is no exception, whatever route it leads to. */
function pathOf(url = ''): string {
  const query = url.indexOf('?');
  return query === -1 ? url : url.slice(0, query);
}
