/**
 * Answers that only the client who asked may keep: those about one user or address, and those to a request that
 * identified somebody. `public` would let a cache that others share hand them to who has not. Decided here for all
 * routes, by what was asked, so that no route has to think of it.
 */
import type { FastifyRequest } from 'fastify';
import type { Http } from '../../infra/http.ts';

export function keepPrivate(http: Http): void {
  http.addHook('onSend', async (request, reply) => {
    if (!isPersonal(request)) return;
    const policy = String(reply.getHeader('cache-control') ?? 'no-cache');
    if (/\b(no-store|private)\b/.test(policy)) return;
    reply.header('cache-control', ['private', policy.replace(/\bpublic\b,? ?/, '')].join(', '));
  });
}

function isPersonal({ headers, query, routeOptions }: FastifyRequest): boolean {
  if (headers.authorization !== undefined || headers.cookie !== undefined) return true;
  if (personalRoutes.has(routeOptions.url ?? '')) return true;
  return typeof query === 'object' && query !== null && personalParameters.some(name => name in query);
}

/** A stored filter may be one of users and addresses, too. */
export const personalParameters = ['user_id', 'ip', 'filter'];
/** Whose answers hold lines, ids and addresses as they were sent. */
const personalRoutes: ReadonlySet<string> = new Set([
  '/v1/clicks/:event_id',
  '/v1/filters',
  '/v1/filters/:id',
  '/v1/quarantine',
  '/v1/quarantine/export',
]);
