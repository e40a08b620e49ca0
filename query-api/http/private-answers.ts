/**
 * Marks answers that only the client itself may cache: answers about a user or an address, and answers to a request with
 * credentials. If they were `public`, a shared cache could give them to a client without credentials. This hook decides
 * for all routes by the request, so that no route can forget it.
 */
import type { FastifyRequest } from 'fastify';
import type { Http } from '../../infra/http.ts';

export function keepPrivate(http: Http): void {
  http.addHook('onSend', async (request, reply) => {
    // The same address has other answers for other senders. Without this, a shared cache could give a public answer that
    // it has kept, which is about all ads, to a client that is for those of a tenant.
    reply.header('vary', ['authorization', 'cookie', ...[reply.getHeader('vary') ?? []].flat()].join(', '));
    const tenant = request.apiKey?.created.tenant;
    if (tenant !== undefined) reply.header('x-tenant', tenant.id);
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

/** Parameters that keys of tenants may not use. */
export const refusedToTenants = { filter: 'stored filters are those of all, and may name their users and addresses' };
/** `filter` is here because a stored filter may contain users and addresses. */
export const personalParameters = ['user_id', 'ip', 'filter'];
/** Their answers contain lines, ids and addresses as clients sent them. */
const personalRoutes: ReadonlySet<string> = new Set([
  '/v1/clicks/:event_id',
  '/v1/filters',
  '/v1/filters/:id',
  '/v1/quarantine',
  '/v1/quarantine/export',
  '/v1/users/:user_id',
  '/v1/users/:user_id/export',
]);
