/**
 * Requires every route of a server to name the scope of an API key that it needs, or to say that it is open, and checks
 * requests for it. A route that needs a scope which a key of a tenant may have must also say what it does with such a
 * key: it answers only for the tenant's ads, or it is refused, with the reason. A route that says less is not registered,
 * and the process does not start, so none is forgotten.
 *
 *     http.get('/v1/ads', { schema, config: { scope: 'read', tenants: 'limited' } }, handler)
 *
 * The key is in the header `Authorization`. Where browsers send what a page has, which can set no header, the scope is
 * `ingest:public` and the key is in the address, as parameter `k`.
 * A server may accept sessions as well, which browsers have in a cookie (http-sessions.ts). If a request has a key, its
 * cookie is not looked at. A session that is not in force is taken away from the browser with the answer.
 */
import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import type { Clients } from './http-clients.ts';
import type { Http } from './http-instance.ts';
import { refuseOtherSites, requireOwnPage, type SessionCookies } from './http-sessions.ts';
import type { Key } from './keys/key-book.ts';
import { type KeyGate, keyRefusedWith } from './keys/key-gate.ts';
import { subjectIn } from './keys/person-session.ts';
import { publicScope, type Scope, scopes } from './keys/scopes.ts';
import { tenantOf } from './keys/tenant.ts';
import { Problem } from './problem.ts';

/**
 * What a route does with a request whose key is for the ads of a tenant. `limited`: it reads or writes only those ads.
 * `refused`: no part of its answer is about single ads, or it is about those of all, for this reason.
 */
export type TenantRule = 'limited' | { readonly refused: string };

/** `open`: without a key, also where keys are needed. */
export type RouteScope = Scope | 'open' | readonly Scope[];

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Several: all of them are needed. */
    scope?: RouteScope;
    tenants?: TenantRule;
  }
  interface FastifyRequest {
    /** The key of the request, or of its session. Undefined if it came without one and needed none. */
    apiKey: Key | undefined;
    /** The person whose session it is, as records name them; empty: not known. Only where `apiKey` is known. */
    subject: string;
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
  /** Parameters that keys of tenants may not use, each with the reason. */
  readonly refusedToTenants?: Readonly<Record<string, string>>;
}

/** Must be called before any route is registered. */
export function requireScopes(http: Http, { keys, openPages = [] }: GuardedRoutes): void {
  http.decorateRequest('apiKey', undefined);
  http.decorateRequest('subject', '');
  http.addHook('onRoute', route => {
    const isPage = openPages.some(page => route.url === page || route.url.startsWith(`${page}/`));
    if (route.config?.scope === undefined && isPage) route.config = { ...route.config, scope: 'open' };
    const needed = neededBy(route);
    if (needed === undefined || needed.some(scope => !Object.hasOwn(scopes, scope)))
      throw new Error(`${route.method} ${route.url}: must say in its config which scope it needs, or that it is open`);
    if (needed.length > 0 && keys === undefined)
      throw new Error(`${route.method} ${route.url}: needs a key, and this server looks at none`);
    if (mayBeTenants(needed) && route.config?.tenants === undefined)
      throw new Error(`${route.method} ${route.url}: must say in its config what it does with keys of tenants`);
  });
}

/** Returns a function that checks the key of a request. It throws a Problem if the request must not be answered. */
export function admission(
  clients: Clients,
  { keys, sessions, personalParameters = [], refusedToTenants = {} }: GuardedRoutes,
) {
  if (keys === undefined) return undefined;
  return (request: FastifyRequest, reply: FastifyReply): void => {
    const { scope, tenants } = request.routeOptions.config;
    // An answer of 404 needs no key.
    if (scope === 'open' || request.is404) return;
    const client = clients.of(request.raw);
    const asked = () => `${request.method} ${request.routeOptions.url}`;
    if (scope === publicScope) {
      request.apiKey = keys.admitPublic(publicKeyIn(request.query), client, asked);
      return;
    }
    const own = listOf(scope);
    const needed = asksForPerson(request.query, personalParameters) ? [...own, 'read:personal' as const] : own;
    const { authorization } = request.headers;
    const session = authorization === undefined ? sessions?.in(request.raw) : undefined;
    const inSession = (text: string) => {
      try {
        requireOwnPage(request.raw, () => keys.ownerOf({ authorization, session: text }, client));
        const key = keys.admitSession(text, needed, client, asked);
        // Only of a session that was looked at: where keys are off, the text may say anything.
        if (key !== undefined) request.subject = subjectIn(text);
        return key;
      } catch (error) {
        if (error instanceof Problem && keyRefusedWith(error) !== undefined) request.subject = subjectIn(text);
        if (error instanceof Problem && error.status === 401 && sessions !== undefined)
          reply.header('set-cookie', sessions.remove(request.raw));
        throw error;
      }
    };
    const key = session === undefined ? keys.admit(authorization, needed, client, asked) : inSession(session);
    if (key === undefined && keys.mode === 'optional' && !/^(GET|HEAD|OPTIONS)$/.test(request.method))
      refuseOtherSites(request.raw);
    // Before anything else is refused, so that the audit log knows whose key was not enough.
    request.apiKey = key;
    if (key?.created.tenant !== undefined) refuseTenant(key, asked(), tenants, request.query, refusedToTenants);
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

/** @throws Problem if nobody may ask this who is let in for the ads of a tenant */
function refuseTenant(
  key: Key,
  asked: string,
  rule: TenantRule = { refused: 'it is not for tenants' },
  query: unknown,
  parameters: Readonly<Record<string, string>>,
): void {
  const parameter = Object.keys(parameters).find(name => name in (query as object));
  if (rule === 'limited' && parameter === undefined) return;
  const [what, why] =
    rule === 'limited' ? [`parameter ${parameter}`, parameters[parameter ?? '']] : [asked, rule.refused];
  const detail = `${what} cannot be used with API key ${key.id}, which is for the ads of tenant ${tenantOf(key)?.id}: ${why}`;
  throw new Problem(403, 'not_for_tenants', detail);
}

/** The scopes that a key of a tenant may have (keys/new-key.ts). */
function mayBeTenants(needed: readonly Scope[]): boolean {
  return needed.length > 0 && !needed.some(scope => scopesForNoTenant.includes(scope));
}

const scopesForNoTenant: readonly Scope[] = [publicScope, 'operate', 'admin'];

function publicKeyIn(query: unknown): string | undefined {
  const { k } = query as { readonly k?: unknown };
  return typeof k === 'string' ? k : undefined;
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
  'ingest:public': ['ingest:public'],
  read: ['read'],
  'read:personal': ['read:personal'],
  operate: ['operate'],
  admin: onlyAdmin,
};
