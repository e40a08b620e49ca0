/**
 * Says what logs may contain of a request: its route and the names of its parameters.
 *
 * Never a value and never the URL: a value may say who a person is (`user_id`, `ip`), or be an API key that somebody has
 * put into an address. The trace id of the line leads to whoever has sent the request.
 */
import type { FastifyRequest } from 'fastify';

export interface LoggedRequest {
  readonly method: string;
  /** As it is registered: `/v1/ads/:ad_id/series`. */
  readonly route: string;
  readonly parameters: readonly string[];
}

export function loggedRequest({ method, routeOptions, query }: FastifyRequest): LoggedRequest {
  const given = typeof query === 'object' && query !== null ? Object.keys(query) : [];
  const { properties = {} } = (routeOptions.schema?.querystring ?? {}) as { properties?: Record<string, unknown> };
  return {
    method,
    route: routeOptions.url ?? 'none',
    // Of names that no route knows, only that they were there: such a name is a text of the client, too.
    parameters: given.map(name => (Object.hasOwn(properties, name) ? name : 'another')),
  };
}
