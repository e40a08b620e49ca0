/**
 * What every HTTP server of the pipeline has in common: explicit limits and timeouts, RFC 9457 problems, health,
 * readiness, metrics and OpenAPI. The rooms add their routes.
 */
import type { Server } from 'node:http';
import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import swagger from '@fastify/swagger';
import {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifyTypeProvider,
  fastify,
  LogController,
  type RawReplyDefaultExpression,
  type RawRequestDefaultExpression,
} from 'fastify';
import { type Static, type TSchema, Type } from 'typebox';
import { messageOf } from './errors.ts';
import { measureRequest } from './http-metrics.ts';
import type { Logger } from './log.ts';
import { registry } from './metrics.ts';
import { mintTraceId, traceContextOf } from './trace-context.ts';

interface TypeBoxProvider extends FastifyTypeProvider {
  validator: this['schema'] extends TSchema ? Static<this['schema']> : unknown;
  serializer: this['schema'] extends TSchema ? Static<this['schema']> : unknown;
}

/** A fastify instance whose route types come from their TypeBox schemas. */
export type Http = FastifyInstance<
  Server,
  RawRequestDefaultExpression<Server>,
  RawReplyDefaultExpression<Server>,
  FastifyBaseLogger,
  TypeBoxProvider
>;

export interface HttpOptions {
  readonly title: string;
  readonly description: string;
  readonly log: Logger;
  readonly bodyLimitBytes: number;
  /** `false`, `true`, or the addresses of trusted proxies as fastify takes them. */
  readonly trustProxy: boolean | string;
  /** Requests per minute and client address; 0 = no limit. */
  readonly rateLimitPerMinute: number;
  /** It serves pages to browsers: all of helmet's headers. Others, whose answers are data, only forbid to guess their type. */
  readonly servesPages: boolean;
  /** Each resolves when that thing works and rejects with the reason when it does not. */
  readonly readiness: Readonly<Record<string, () => Promise<void> | void>>;
  /** Brings metrics up to date that are worked out when they are asked for; never rejects. */
  readonly beforeScrape?: () => Promise<void>;
}

/** An error for the client: thrown by handlers, sent as `application/problem+json`. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly status: number;
  readonly code: string;
  readonly extra: Readonly<Record<string, unknown>>;
  readonly retryAfterS: number | undefined;

  constructor(status: number, code: string, detail: string, extra: Record<string, unknown> = {}, retryAfterS?: number) {
    super(detail);
    this.status = status;
    this.code = code;
    this.extra = extra;
    this.retryAfterS = retryAfterS;
  }
}

export const ProblemSchema = Type.Object(
  {
    type: Type.String({ description: 'always `about:blank`: `code` tells the kind' }),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String({ description: 'stable, for programs' }),
    detail: Type.String({ description: 'names field, value and rule, for people' }),
  },
  { additionalProperties: true, description: 'RFC 9457 problem details' },
);

/** Longest a handler may keep a request; also the limit for receiving one whole. */
export const requestTimeoutMs = 30_000;

export async function createHttp(options: HttpOptions): Promise<Http> {
  const http = fastify({
    loggerInstance: options.log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'trace_id' }),
    // A request's id is its trace's: every line about it in any log can be found by the one the client has.
    genReqId: ({ headers }) => traceContextOf(headers)?.traceId ?? mintTraceId(),
    bodyLimit: options.bodyLimitBytes,
    trustProxy: options.trustProxy,
    // Fastify's defaults for these two are 0 = unlimited, which lets slow clients hold sockets for ever.
    connectionTimeout: 60_000,
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: 72_000,
    forceCloseConnections: 'idle',
    return503OnClosing: true,
    routerOptions: { maxParamLength: 256 },
    // A URL that cannot be decoded fails before any route or error handler is found.
    frameworkErrors: (error, request, reply) => sendProblem(reply, asProblem(error, request)),
    http: { connectionsCheckingInterval: 5_000, headersTimeout: 15_000, maxHeaderSize: 16_384 },
    ajv: { customOptions: { removeAdditional: false, coerceTypes: 'array', allErrors: false } },
  }).withTypeProvider<TypeBoxProvider>();

  http.setErrorHandler((error: FastifyError | Problem, request, reply) => {
    if (!(error instanceof Problem) && (error.statusCode ?? 500) >= 500) {
      request.log.error({ err: error, method: request.method, url: request.url }, 'request failed');
    }
    return sendProblem(reply, asProblem(error, request));
  });
  http.setNotFoundHandler((request, reply) =>
    sendProblem(reply, new Problem(404, 'not_found', `there is no ${request.method} ${request.url.split('?')[0]}`)),
  );

  http.addHook('onResponse', measureRequest);
  if (options.servesPages) await http.register(helmet, { contentSecurityPolicy: false, global: true });
  else {
    http.addHook('onRequest', (_request, reply, done) => {
      reply.header('x-content-type-options', 'nosniff');
      done();
    });
  }
  if (options.rateLimitPerMinute > 0) {
    await http.register(rateLimit, {
      max: options.rateLimitPerMinute,
      timeWindow: 60_000,
      errorResponseBuilder: (_request, context) =>
        new Problem(
          429,
          'rate_limited',
          `more than ${context.max} requests in a minute from this address`,
          {},
          Math.ceil(context.ttl / 1000),
        ),
    });
  }
  await http.register(swagger, {
    openapi: { openapi: '3.1.0', info: { title: options.title, description: options.description, version: '0.1.0' } },
  });
  registerOperations(http, options);
  return http;
}

/** Starts listening; port 0 picks a free one. Returns the base URL. */
export async function listen(http: Http, host: string, port: number): Promise<string> {
  return await http.listen({ host, port });
}

/** Runs every check, each for at most `timeoutMs`. Returns the failures by name. */
export async function failures(checks: HttpOptions['readiness'], timeoutMs = 2_000): Promise<Record<string, string>> {
  const results = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => {
      let timer: NodeJS.Timeout | undefined;
      try {
        const late = new Promise<never>((_resolve, reject) => {
          timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
        });
        await Promise.race([check(), late]);
        return undefined;
      } catch (error) {
        return [name, messageOf(error)] as const;
      } finally {
        clearTimeout(timer);
      }
    }),
  );
  return Object.fromEntries(results.filter(result => result !== undefined));
}

function registerOperations(http: Http, { readiness, beforeScrape }: HttpOptions): void {
  const tags = ['operations'];
  http.get('/healthz', {
    schema: { tags, summary: 'The process is alive', response: { 200: Type.Object({ status: Type.Literal('ok') }) } },
    handler: () => ({ status: 'ok' as const }),
  });
  http.get('/readyz', {
    schema: {
      tags,
      summary: 'All that this service needs works',
      response: { 200: Type.Object({ status: Type.Literal('ready') }), 503: ProblemSchema },
    },
    handler: async (_request, reply) => {
      const failed = await failures(readiness);
      if (Object.keys(failed).length === 0) return { status: 'ready' as const };
      const detail = Object.entries(failed).map(([name, why]) => `${name}: ${why}`);
      return sendProblem(reply, new Problem(503, 'not_ready', detail.join('; '), { failed }, 1));
    },
  });
  http.get('/metrics', {
    schema: { tags, summary: 'Prometheus metrics', response: { 200: Type.String() } },
    handler: async (_request, reply) => {
      await beforeScrape?.();
      return reply.type(registry.contentType).send(await registry.metrics());
    },
  });
  http.get('/openapi.json', { schema: { hide: true }, handler: () => http.swagger() });
}

function asProblem(error: FastifyError | Problem, request: FastifyRequest): Problem {
  if (error instanceof Problem) return error;
  const status = error.statusCode ?? 500;
  if (error.validation) return new Problem(400, 'invalid_parameter', validationDetail(error, request));
  if (status >= 500) {
    const detail = 'the server failed to answer; the log has the reason, under the trace_id';
    return new Problem(500, 'internal', detail, { trace_id: request.id });
  }
  return new Problem(
    status,
    (error.code ?? 'bad_request').toLowerCase().replace(/^fst_err_(ctp_)?/, ''),
    error.message,
  );
}

/** `count "x": must be integer`: field, value and rule. */
function validationDetail(error: FastifyError, request: FastifyRequest): string {
  const [first] = error.validation ?? [];
  if (!first) return error.message;
  const { keyword, params, instancePath } = first;
  const absent = keyword === 'required' ? params['missingProperty'] : undefined;
  const unknown = keyword === 'additionalProperties' ? params['additionalProperty'] : undefined;
  const path = [...instancePath.split('/').filter(Boolean), absent ?? unknown].filter(key => typeof key === 'string');
  const given = absent === undefined ? ` ${shown(valueAt(request, error.validationContext, path))}` : '';
  const allowed = keyword === 'enum' ? `: ${String(params['allowedValues'])}` : '';
  return `${path.join('.')}${given}: ${first.message ?? 'is not valid'}${allowed}`;
}

function valueAt({ query, params }: FastifyRequest, context: string | undefined, path: readonly string[]): unknown {
  let at: unknown = context === 'params' ? params : query;
  for (const key of path) at = typeof at === 'object' && at !== null ? Reflect.get(at, key) : undefined;
  return at;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? '';
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  if (problem.retryAfterS !== undefined) reply.header('retry-after', String(problem.retryAfterS));
  return reply
    .code(problem.status)
    .type('application/problem+json')
    .serializer((body: unknown) => JSON.stringify(body))
    .send({
      type: 'about:blank',
      title: titles[problem.status] ?? 'Error',
      status: problem.status,
      code: problem.code,
      detail: problem.message,
      ...problem.extra,
    });
}

const titles: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};
