/**
 * Creates the HTTP servers of the pipeline with everything they have in common: explicit limits and timeouts, limits on
 * clients (http-guard.ts), RFC 9457 problems, health, readiness, metrics and OpenAPI. The rooms add their routes.
 */
import type { IncomingMessage } from 'node:http';
import helmet from '@fastify/helmet';
import swagger from '@fastify/swagger';
import { type FastifyBaseLogger, type FastifyError, fastify, LogController } from 'fastify';
import type { AuditTrail } from './audit/audit-trail.ts';
import { keepCompiledCode } from './compile-cache.ts';
import type { ProcessConfig } from './config.ts';
import { type AnswerLimits, followAskers } from './http-askers.ts';
import { type AuditedRefusals, auditRefusals } from './http-audit.ts';
import { type Clients, createClients } from './http-clients.ts';
import { answerClientError, limitConnections } from './http-connections.ts';
import { drainable } from './http-drain.ts';
import { type Guard, guardRequests } from './http-guard.ts';
import { createHostCheck } from './http-hosts.ts';
import type { Http, TypeBoxProvider } from './http-instance.ts';
import { admission, type GuardedRoutes, neededBy, requireScopes } from './http-keys.ts';
import { loggedRequest } from './http-logged.ts';
import { measureRequest } from './http-metrics.ts';
import { type OperatedService, type Operations, operationTags, routeOperations } from './http-operations.ts';
import { allowOrigins } from './http-origins.ts';
import type { RateLimit } from './http-rate-limit.ts';
import { whenFirstAsked } from './http-schemas.ts';
import { publicScope } from './keys/scopes.ts';
import type { Life } from './life.ts';
import type { Logger } from './log.ts';
import { completeDocument, type OpenApiParts } from './openapi.ts';
import { asProblem, Problem, ProblemSchema, sendProblem } from './problem.ts';
import { release } from './release.ts';
import type { ServerTls } from './tls/server-tls.ts';
import { mintTraceId, traceContextOf } from './trace-context.ts';

export type { Http } from './http-instance.ts';
export { refuseOtherMethods } from './http-methods.ts';
export { Problem, ProblemSchema } from './problem.ts';

export interface HttpOptions extends Operations, GuardedRoutes {
  readonly title: string;
  readonly description: string;
  /** What the tags of the routes mean, for OpenAPI. */
  readonly tags?: Readonly<Record<string, string>>;
  readonly log: Logger;
  readonly config: Pick<ProcessConfig, 'HOST' | 'ALLOWED_HOSTS' | 'MAX_CONNECTIONS' | 'MAX_CONNECTIONS_PER_CLIENT'>;
  readonly bodyLimitBytes: number;
  /** Left out: whoever connects is the client. */
  readonly clients?: Clients;
  /** Returns the address by which a request is routed, for one that cannot be decoded. Left out: it is refused (400). */
  readonly addressOf?: (url: string) => string;
  /** Whose pages may read answers (http-origins.ts). Left out: only those of this service. */
  readonly origins?: string;
  /** Of each client; left out where there is nothing to limit. */
  readonly rateLimit?: RateLimit;
  /** Of API keys. Left out: there are none. */
  readonly withinQuotas?: Guard['withinQuotas'];
  /** For health, readiness, metrics and the document; 0, or left out: the service's own. */
  readonly operationsPort?: number;
  /** It serves pages to browsers: all of helmet's headers. Others, whose answers are data, only forbid to guess their type. */
  readonly servesPages: boolean;
  /** Some of its routes are for pages, with a public key. */
  readonly servesBrowserClicks?: boolean;
  /** Where what an answer needs is given up with it. */
  readonly answers?: AnswerLimits;
  /** Records requests for which a valid key was not enough. Left out: nobody does. */
  readonly audit?: AuditTrail | undefined;
  /** What is recorded of the address of who sends a public key (http-audit.ts). */
  readonly visitorAddress?: AuditedRefusals['visitorAddress'];
  /** Left out: it speaks HTTP alone. Operations on a port of their own always do. */
  readonly tls?: ServerTls | undefined;
  /** Of the process: by it the server knows when to leave, and how long it may take. */
  readonly life?: Life | undefined;
}

/** Longest a handler may keep a request; also the limit for receiving one whole. */
const requestTimeoutMs = 30_000;

const maxHeaderBytes = 16_384;

/** Of Node's servers. */
const httpLimits = { connectionsCheckingInterval: 5_000, headersTimeout: 15_000, maxHeaderSize: maxHeaderBytes };

/** The servers of their own that operations have. */
const operationsOf = new WeakMap<Http, { readonly http: Http; readonly port: number }>();

export async function createHttp(options: HttpOptions): Promise<Http> {
  const { config, clients = createClients(), rateLimit, withinQuotas, operationsPort = 0 } = options;
  const http = createServer(options, options.tls);
  requireScopes(http, options);
  // Before anything can refuse a request, so that those who may read answers can read refusals, too.
  await allowOrigins(http, options.origins ?? '');
  limitConnections(http.server, clients, config);
  const drain = drainable(http, options.log, options.life);
  http.addHook('onResponse', measureRequest);
  const checkHost = createHostCheck(config);
  guardRequests(http, { checkHost, clients, rateLimit, admit: admission(clients, options), withinQuotas });
  if (options.answers) followAskers(http, clients, options.answers);
  if (options.audit) auditRefusals(http, { trail: options.audit, clients, visitorAddress: options.visitorAddress });
  if (options.tls) speakTls(http, options.tls);
  if (options.servesPages) await protectPages(http);
  if (options.servesPages || options.tls) demandTls(http, clients);
  await http.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: options.title,
        description: options.description,
        version: release,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/', description: 'this service' }],
      security: [],
      ...(options.keys ? { components: { securitySchemes: securitySchemesOf(options) } } : {}),
      tags: Object.entries({ ...options.tags, ...(operationsPort === 0 ? operationTags : {}) }).map(
        ([name, description]) => ({ name, description }),
      ),
    },
    transform: ({ schema, url, route }) => ({ schema: withSecurity(schema, neededBy(route), options), url }),
    transformObject: documents => ('openapiObject' in documents ? completed(documents.openapiObject) : {}),
  });
  const operated: OperatedService = { ...options, refusal: drain.refusal, document: () => http.swagger() };
  if (operationsPort === 0) routeOperations(http, operated);
  else operateApart(http, options, operated, operationsPort);
  return http;
}

/** Starts listening; port 0 picks a free one. Returns the base URL. */
export async function listen(http: Http, host: string, port: number): Promise<string> {
  const operations = operationsOf.get(http);
  if (operations) await operations.http.listen({ host, port: operations.port });
  const url = await http.listen({ host, port });
  // From here on it serves, and has loaded nearly all that it ever will.
  keepCompiledCode();
  return url;
}

function createServer({ log, bodyLimitBytes, addressOf }: HttpOptions, tls?: ServerTls): Http {
  const http = fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'trace_id' }),
    // A request's id is its trace's: every line about it in any log can be found by the one the client has.
    genReqId: ({ headers }) => traceContextOf(headers)?.traceId ?? mintTraceId(),
    bodyLimit: bodyLimitBytes,
    // Only http-clients.ts decides from which client a request comes.
    trustProxy: false,
    // Fastify's defaults for these two are 0 = unlimited, which lets slow clients hold sockets for ever.
    connectionTimeout: 60_000,
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: 72_000,
    forceCloseConnections: 'idle',
    // Its answer would be no problem; ours are in http-drain.ts.
    return503OnClosing: false,
    // As long as an address may be: the routes themselves say how long a parameter may be.
    routerOptions: { maxParamLength: maxHeaderBytes },
    ...(addressOf ? { rewriteUrl: ({ url = '/' }: IncomingMessage) => addressOf(url) } : {}),
    // A URL that cannot be decoded fails before any route or error handler is found.
    frameworkErrors: (error, request, reply) => sendProblem(reply, asProblem(error, request)),
    clientErrorHandler: answerClientError,
    http: httpLimits,
    ...(tls ? { https: { ...httpLimits, ...tls.options } } : {}),
    ajv: { customOptions: { removeAdditional: false, coerceTypes: 'array', allErrors: false } },
    schemaController: { compilersFactory: whenFirstAsked() },
  }).withTypeProvider<TypeBoxProvider>();

  http.setErrorHandler((error: FastifyError | Problem, request, reply) => {
    if (!(error instanceof Problem) && (error.statusCode ?? 500) >= 500) {
      request.log.error({ err: error, ...loggedRequest(request) }, 'request failed');
    }
    return sendProblem(reply, asProblem(error, request));
  });
  http.setNotFoundHandler((request, reply) =>
    sendProblem(reply, new Problem(404, 'not_found', `there is no ${request.method} ${request.url.split('?')[0]}`)),
  );
  return http;
}

/** On a port of their own, for as long as the service is there. */
function operateApart(service: Http, options: HttpOptions, operated: OperatedService, port: number): void {
  const http = createServer(options);
  requireScopes(http, {});
  const clients = createClients();
  limitConnections(http.server, clients, options.config);
  http.addHook('onResponse', measureRequest);
  guardRequests(http, { checkHost: createHostCheck(options.config), clients });
  if (options.answers) followAskers(http, clients, options.answers);
  routeOperations(http, operated);
  service.addHook('onClose', () => http.close());
  operationsOf.set(service, { http, port });
}

/** The certificate is the one in its files, for as long as the server is there. */
function speakTls(http: Http, tls: ServerTls): void {
  const following = tls.follow(http.server);
  http.addHook('onClose', async () => following.stop());
}

async function protectPages(http: Http): Promise<void> {
  await http.register(helmet, { contentSecurityPolicy: false, strictTransportSecurity: false, global: true });
}

/**
 * Browsers are told to come back over TLS. Over plain HTTP they ignore it, and who answers so behind a name that has no
 * TLS claims what is not so.
 */
function demandTls(http: Http, clients: Clients): void {
  http.addHook('onRequest', (request, reply, done) => {
    if (clients.isOverTls(request.raw)) reply.header('strict-transport-security', 'max-age=31536000');
    done();
  });
}

function apiKeyScheme({ sessions }: HttpOptions) {
  const rules =
    'An API key. Each operation names the scope that it needs; what asks for clicks of one user, address or stored filter needs read:personal, too. `admin` includes all.';
  const browsers = ' Pages of this service may have the cookie of `POST /v1/session` instead.';
  return { type: 'http', scheme: 'bearer', description: sessions === undefined ? rules : rules + browsers } as const;
}

const publicKeyScheme = {
  type: 'apiKey',
  in: 'query',
  name: 'k',
  description: 'A public API key, with scope ingest:public alone. It may stand in the source of a page.',
} as const;

function securitySchemesOf(options: HttpOptions) {
  const { servesBrowserClicks = false } = options;
  return { apiKey: apiKeyScheme(options), ...(servesBrowserClicks ? { publicKey: publicKeyScheme } : {}) };
}

/** An empty choice says that it also goes without a key. */
function withSecurity<T extends object | undefined>(
  schema: T,
  needed: readonly string[] = [],
  { keys }: HttpOptions,
): T {
  if (keys === undefined || needed.length === 0) return schema;
  if (needed.includes(publicScope)) return { ...schema, security: [{ publicKey: [...needed] }] };
  const isOptional = keys.mode !== 'required' && !needed.includes('admin');
  return { ...schema, security: [...(isOptional ? [{}] : []), { apiKey: [...needed] }] };
}

function completed<T>(document: T): T {
  return completeDocument(document as OpenApiParts, ProblemSchema) as T;
}
