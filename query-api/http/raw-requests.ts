/**
 * Which requests ask for raw clicks, seen from their addresses before anything is read for them: all that is read for
 * one of them has one place among raw reads (infra/clickhouse/tickets.ts). Decided here for all routes, so that none
 * has to think of it; a test asks each of them and looks what it reads.
 *
 * A stored filter may name countries alone, of which counts tell. That is known only once it is read, for which a place
 * is needed already: so whoever asks by a stored filter stands in this line.
 */
import type { FastifyRequest } from 'fastify';

export function asksForRaw({ query, routeOptions }: Pick<FastifyRequest, 'query' | 'routeOptions'>): boolean {
  if (rawRoutes.has(routeOptions.url ?? '')) return true;
  const asked = query as Readonly<Record<string, unknown>>;
  return rawParameters.some(name => name in asked) || (asked['uniques'] ?? 'false') !== 'false';
}

const rawParameters = ['user_id', 'ip', 'filter'];
/** What became of each click, and of each line. */
const rawRoutes: ReadonlySet<string> = new Set([
  '/v1/clicks/:event_id',
  '/v1/exports/clicks',
  '/v1/quarantine',
  '/v1/quarantine/export',
]);
