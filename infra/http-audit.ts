/**
 * Records requests in the audit log (audit/audit-trail.ts) before their handlers run. It covers all routes at once, so
 * that none can be left out by forgetting it:
 *
 * - every request of a route that needs a key and is not a read (`act`);
 * - every read of a route that needs `read:personal` or `admin`, every read with a parameter that asks for one person's
 *   clicks, and exports, which say `audit: 'read'` in their config (`read`);
 * - every sign-in, by a route that says `audit: 'sign-in'`;
 * - every request that got 403 although its key or session is valid (`refused`). This is also for servers whose acts are
 *   recorded elsewhere: posted clicks are in the log themselves.
 *
 * A request whose record cannot be written is not carried out, and gets 503. A request that breaks a rule of its route
 * (400) is not recorded, because nothing was attempted that could have happened.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Asked, Asker } from './audit/audit-record.ts';
import { withoutKey } from './audit/audit-record.ts';
import type { AuditTrail, Ended } from './audit/audit-trail.ts';
import { Retryable } from './errors.ts';
import type { Clients } from './http-clients.ts';
import type { Http } from './http-instance.ts';
import { neededBy } from './http-keys.ts';
import { keyRefusedWith } from './keys/key-gate.ts';
import { withoutKeyTexts } from './keys/key-text.ts';
import { wrongRegionCode } from './keys/region.ts';
import { publicScope } from './keys/scopes.ts';
import { Problem } from './problem.ts';
import { OwnQuotasSchema } from './quotas/quotas.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * `read`: its reads are recorded, although they need neither `read:personal` nor `admin`. `sign-in`: it is open,
     * and sets `request.apiKey` where somebody has signed in, which is recorded before the answer is sent.
     */
    audit?: 'read' | 'sign-in';
  }
}

export interface AuditedServer {
  readonly trail: AuditTrail;
  readonly clients: Pick<Clients, 'of'>;
  readonly personalParameters?: readonly string[];
}

/** Records acts and reads. Must be called before the routes are registered that it shall cover. */
export function auditRequests(http: Http, { trail, clients, personalParameters = [] }: AuditedServer): void {
  const running = new WeakMap<FastifyRequest, Ended>();
  http.addHook('preHandler', async request => {
    const kind = auditedAs(request, personalParameters);
    if (kind === undefined) return;
    try {
      running.set(request, await trail[kind](askedBy(request, clients, kind)));
    } catch (error) {
      if (error instanceof Retryable) throw unrecorded();
      throw error;
    }
  });
  /** Its cookie is not sent if that cannot be recorded. */
  const signedIn = async (request: FastifyRequest, reply: FastifyReply) => {
    const isSignIn = request.routeOptions.config.audit === 'sign-in' && request.apiKey && reply.statusCode < 400;
    if (!isSignIn) return undefined;
    try {
      return await trail.read(askedBy(request, clients, 'sign-in'));
    } catch (error) {
      reply.removeHeader('set-cookie');
      throw error instanceof Retryable ? unrecorded() : error;
    }
  };
  http.addHook('onSend', async (request, reply) => {
    const end = running.get(request) ?? (await signedIn(request, reply));
    running.delete(request);
    await end?.(reply.statusCode);
  });
}

export interface AuditedRefusals {
  readonly trail: AuditTrail;
  readonly clients: Pick<Clients, 'of'>;
  /**
   * Returns what is recorded of the address of a visitor. Who sends a public key is somebody who looks at a page, and not
   * the owner of the key. Left out: as for everybody else.
   */
  readonly visitorAddress?: ((request: FastifyRequest) => string) | undefined;
}

/** Records requests that got 403 although their key is valid. */
export function auditRefusals(http: Http, { trail, clients, visitorAddress }: AuditedRefusals): void {
  http.addHook('onError', (request, _reply, error, done) => {
    const key =
      error instanceof Problem && error.status === 403 ? (keyRefusedWith(error) ?? request.apiKey) : undefined;
    if (key === undefined) {
      done();
      return;
    }
    const asked = askedBy(request, clients, 'refused', { by: key.id, name: key.created.label });
    // What belongs to another region does not stay in this one. Whose key it was and what it was used for is enough.
    const isOfOtherRegion = error instanceof Problem && error.code === wrongRegionCode;
    const isVisitor = visitorAddress !== undefined && neededBy(request.routeOptions)?.includes(publicScope);
    const known = isVisitor ? { ...asked, address: visitorAddress(request) } : asked;
    trail.refused(isOfOtherRegion ? { ...asked, parameters: {}, address: '' } : known, 403).finally(done);
  });
}

function auditedAs(request: FastifyRequest, personalParameters: readonly string[]): 'act' | 'read' | undefined {
  const { config } = request.routeOptions;
  const needed = neededBy({ config }) ?? ['admin'];
  if (needed.length === 0 || request.is404) return undefined;
  if (!/^(GET|HEAD|OPTIONS)$/.test(request.method)) return 'act';
  if (config.audit === 'read' || needed.includes('read:personal') || needed.includes('admin')) return 'read';
  return personalParameters.some(name => name in (request.query as object)) ? 'read' : undefined;
}

function askedBy(
  request: FastifyRequest,
  clients: Pick<Clients, 'of'>,
  kind: Asked['kind'],
  { by, name }: Pick<Asker, 'by' | 'name'> = keyOf(request),
): Asked {
  const { params, query, body, raw, method, routeOptions } = request;
  return {
    kind,
    ...{ by, name, subject: request.subject },
    action: `${method} ${routeOptions.url}`,
    // Of a refused request nothing was checked yet.
    parameters: kind === 'refused' ? recordedParameters(params) : recordedParameters(params, query, body),
    address: clients.of(raw).network,
  };
}

function keyOf({ apiKey }: FastifyRequest): Pick<Asker, 'by' | 'name'> {
  return apiKey === undefined ? { by: withoutKey, name: '' } : { by: apiKey.id, name: apiKey.created.label };
}

/** Returns all parameters by name. Whatever is not known to be neither a secret nor about a person is masked. */
function recordedParameters(...given: readonly unknown[]): Record<string, string> {
  const found = given.flatMap(each => (typeof each === 'object' && each !== null ? Object.entries(each) : []));
  const named = found.filter(([, value]) => value !== undefined).slice(0, mostParameters);
  return Object.fromEntries(
    named.map(([name, value]) => [name.slice(0, 64), recorded.has(name) ? textOf(value) : masked]),
  );
}

function textOf(value: unknown): string {
  if (Array.isArray(value)) return value.slice(0, mostValues).map(textOf).join(',').slice(0, mostCharacters);
  if (typeof value === 'object') return masked;
  return withoutKeyTexts(String(value)).slice(0, mostCharacters).toWellFormed();
}

const masked = '***';
const mostParameters = 32;
const mostValues = 20;
const mostCharacters = 200;

/**
 * Masked are, among others: user_id, ip and event_id, which are about one person; the conditions of a stored filter,
 * which may name persons; `contains`, which is looked for in lines; and cursors, which contain what a page ended with.
 */
const recorded: ReadonlySet<string> = new Set([
  ...['action', 'ad_id', 'ad_id_prefix', 'apply', 'as_of', 'at', 'clicked_from', 'clicked_to', 'clicks', 'compare'],
  ...[
    'country',
    'expires_at',
    'filter',
    'format',
    'from',
    'granularity',
    'id',
    'key',
    'label',
    'limit',
    'note',
    'order',
  ],
  ...[
    'origins',
    'outcome',
    'overlap_s',
    'partitions',
    'price_per_click',
    'reason',
    'reasons',
    'region',
    'rules',
    'scopes',
  ],
  ...['strict', 'timezone', 'to', 'uniques', 'window'],
  ...Object.keys(OwnQuotasSchema.properties),
]);

function unrecorded(): Problem {
  const detail =
    'the audit log cannot be written at the moment, and nothing is done that is not recorded: send the request again';
  return new Problem(503, 'unrecorded', detail, {}, 1);
}
