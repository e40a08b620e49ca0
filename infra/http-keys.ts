/**
 * Requires every route of a server to name the scope of an API key that it needs, or to say that it is open, and checks
 * requests for it. A route that says neither is not registered, and the process does not start, so none is forgotten.
 *
 *     http.get('/v1/status', { schema, config: { scope: 'read' } }, handler)
 *
 * A server may accept sessions as well, which browsers have in a cookie (http-sessions.ts). If a request has a key, its
 * cookie is not looked at. A session that is not in force is taken away from the browser with the answer.
 */
import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import type { Clients } from './http-clients.ts';
import type { Http } from './http-instance.ts';
import { requireOwnPage, type SessionCookies } from './http-sessions.ts';
import type { Key } from './keys/key-book.ts';
import type { KeyGate } from './keys/key-gate.ts';
import { type Scope, scopes } from './keys/scopes.ts';
import { Problem } from './problem.ts';

/** `open`: without a key, also where keys are needed. */
export type RouteScope = Scope | 'open' | readonly Scope[];

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Several: all of them are needed. */
    scope?: RouteScope;
  }
  interface FastifyRequest {
    /** The key of the request, or of its session. Undefined if it came without one and needed none. */
    apiKey: Key | undefined;
  }
}

export interface GuardedRoutes {
  /** Left out: all routes of the server are open. */
  readonly keys?: KeyGate | undefined;
  /** Left out: cookies are not looked at. */
  readonly sessions?: SessionCookies | undefined;
  /** Paths under which a plugin registers routes that cannot name a scope. These are open. */
  readonly openPages?: readonly string[];
  /** Parameters that ask for the clicks of one person. With one of them, a request needs `read:personal` too. */
  readonly personalParameters?: readonly string[];
}

/** Must be called before any route is registered. */
export function requireScopes(http: Http, { keys, openPages = [] }: GuardedRoutes): void {
  http.decorateRequest('apiKey', undefined);
  http.addHook('onRoute', route => {
    const isPage = openPages.some(page => route.url === page || route.url.startsWith(`${page}/`));
    if (route.config?.scope === undefined && isPage) route.config = { ...route.config, scope: 'open' };
    const needed = neededBy(route);
    if (needed === undefined || needed.some(scope => !Object.hasOwn(scopes, scope)))
      throw new Error(`${route.method} ${route.url}: must say in its config which scope it needs, or that it is open`);
    if (needed.length > 0 && keys === undefined)
      throw new Error(`${route.method} ${route.url}: needs a key, and this server looks at none`);
  });
}

/** Returns a function that checks the key of a request. It throws a Problem if the request must not be answered. */
export function admission(clients: Clients, { keys, sessions, personalParameters = [] }: GuardedRoutes) {
  if (keys === undefined) return undefined;
  return (request: FastifyRequest, reply: FastifyReply): void => {
    const { scope } = request.routeOptions.config;
    // An answer of 404 needs no key.
    if (scope === 'open' || request.is404) return;
    const own = listOf(scope);
    const needed = asksForPerson(request.query, personalParameters) ? [...own, 'read:personal' as const] : own;
    const asked = () => `${request.method} ${request.routeOptions.url}`;
    const { authorization } = request.headers;
    const session = authorization === undefined ? sessions?.in(request.raw) : undefined;
    if (session === undefined) {
      request.apiKey = keys.admit(authorization, needed, clients.of(request.raw), asked);
      return;
    }
    requireOwnPage(request.raw);
    try {
      request.apiKey = keys.admitSession(session, needed, clients.of(request.raw), asked);
    } catch (error) {
      if (error instanceof Problem && error.status === 401 && sessions !== undefined)
        reply.header('set-cookie', sessions.remove(request.raw));
      throw error;
    }
  };
}

/** Returns a function that says whether a request that was let in would be let in now. For answers without an end. */
export function lastingAdmission({ keys, sessions }: GuardedRoutes) {
  return ({ apiKey, headers: { authorization }, raw }: FastifyRequest): boolean => {
    if (keys === undefined || apiKey === undefined) return true;
    const session = authorization === undefined ? sessions?.in(raw) : undefined;
    try {
      return keys.inForce({ authorization, session }) !== undefined;
    } catch {
      return false;
    }
  };
}

function asksForPerson(query: unknown, personalParameters: readonly string[]): boolean {
  return personalParameters.some(name => name in (query as object));
}

/** Returns none for an open route, and undefined for one that says nothing. */
export function neededBy({ config }: Pick<RouteOptions, 'config'>): readonly Scope[] | undefined {
  const scope = config?.scope;
  if (scope === undefined) return undefined;
  return scope === 'open' ? [] : listOf(scope);
}

/** A route that names no scope cannot exist. If it did, it would need the strongest one. */
function listOf(scope: Exclude<RouteScope, 'open'> | undefined): readonly Scope[] {
  if (scope === undefined) return onlyAdmin;
  return typeof scope === 'string' ? lists[scope] : scope;
}

const onlyAdmin = ['admin'] as const;
/** One list for each scope, so that no list is made for each request. */
const lists: Readonly<Record<Scope, readonly Scope[]>> = {
  ingest: ['ingest'],
  read: ['read'],
  'read:personal': ['read:personal'],
  operate: ['operate'],
  admin: onlyAdmin,
};
