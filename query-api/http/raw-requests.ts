/**
 * Decides from a request's URL whether it asks for raw clicks, before anything is read for it. All reads of such a
 * request share one place among the raw reads (infra/clickhouse/tickets.ts). The decision is made here for all routes,
 * so that no route can forget it. A test calls each route and compares the decision with what the route reads.
 *
 * A stored filter may contain only countries, which counts can answer. But the filter is known only after it is read,
 * and that read already needs a place. So every request with a stored filter waits among the raw reads.
 */
import type { FastifyRequest } from 'fastify';

export function asksForRaw({ query, routeOptions }: Pick<FastifyRequest, 'query' | 'routeOptions'>): boolean {
  if (rawRoutes.has(routeOptions.url ?? '')) return true;
  const asked = query as Readonly<Record<string, unknown>>;
  return rawParameters.some(name => name in asked) || (asked['uniques'] ?? 'false') !== 'false';
}

const rawParameters = ['user_id', 'ip', 'filter'];
/** Their answers say what became of each click, or of each line. */
const rawRoutes: ReadonlySet<string> = new Set([
  '/v1/clicks/:event_id',
  '/v1/exports/clicks',
  '/v1/quarantine',
  '/v1/quarantine/export',
  '/v1/users/:user_id/export',
]);
