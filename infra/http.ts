/**
 * What every HTTP server of the pipeline has in common: explicit limits and timeouts, RFC 9457 problems, health,
 * readiness, metrics and OpenAPI. The rooms add their routes.
 */
import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import swagger from '@fastify/swagger';
import {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyReply,
  type FastifyRequest,
  fastify,
  LogController,
} from 'fastify';
import { Type } from 'typebox';
import { messageOf } from './errors.ts';
import { drainable, type HttpDrain } from './http-drain.ts';
import type { Http, TypeBoxProvider } from './http-instance.ts';
import { measureRequest } from './http-metrics.ts';
import type { Life } from './life.ts';
import type { Logger } from './log.ts';
import { registry } from './metrics.ts';
import { completeDocument, type OpenApiParts } from './openapi.ts';
import { asProblem, Problem, ProblemSchema, sendProblem } from './problem.ts';
import { release } from './release.ts';
import { mintTraceId, traceContextOf } from './trace-context.ts';

export type { Http } from './http-instance.ts';
export { Problem, ProblemSchema } from './problem.ts';

export interface HttpOptions {
  readonly title: string;
  readonly description: string;
  /** What the tags of the routes mean, for OpenAPI. */
  readonly tags?: Readonly<Record<string, string>>;
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
  /** Of the process: by it the server knows when to leave, and how long it may take. */
  readonly life?: Life | undefined;
}

/** Longest a handler may keep a request; also the limit for receiving one whole. */
export const requestTimeoutMs = 30_000;

const maxHeaderBytes = 16_384;

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
    // Its answer would be no problem; ours are in http-drain.ts.
    return503OnClosing: false,
    // As long as an address may be: the routes themselves say how long a parameter may be.
    routerOptions: { maxParamLength: maxHeaderBytes },
    // A URL that cannot be decoded fails before any route or error handler is found.
    frameworkErrors: (error, request, reply) => sendProblem(reply, asProblem(error, request)),
    http: { connectionsCheckingInterval: 5_000, headersTimeout: 15_000, maxHeaderSize: maxHeaderBytes },
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

  const drain = drainable(http, options.log, options.life);
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
      tags: Object.entries({ ...options.tags, ...operationTags }).map(([name, description]) => ({ name, description })),
    },
    transformObject: documents => ('openapiObject' in documents ? completed(documents.openapiObject) : {}),
  });
  registerOperations(http, options, drain);
  return http;
}

/** Starts listening; port 0 picks a free one. Returns the base URL. */
export async function listen(http: Http, host: string, port: number): Promise<string> {
  return await http.listen({ host, port });
}

/** 405 with `Allow`, before a body is read, for what a path does not take. */
export function refuseOtherMethods(http: Http, url: string, allowed: readonly string[]): void {
  const refuse = (request: FastifyRequest, reply: FastifyReply): never => {
    reply.header('allow', allowed.join(', '));
    const path = request.url.split('?')[0];
    throw new Problem(405, 'method_not_allowed', `${path} takes ${allowed.join(', ')}, not ${request.method}`);
  };
  http.route({
    method: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].filter(method => !allowed.includes(method)),
    url,
    schema: { hide: true },
    onRequest: async (request, reply) => refuse(request, reply),
    handler: refuse,
  });
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

function completed<T>(document: T): T {
  return completeDocument(document as OpenApiParts, ProblemSchema) as T;
}

const operationTags = { operations: 'Health, readiness, metrics and this document' };

function registerOperations(http: Http, { readiness, beforeScrape }: HttpOptions, drain: HttpDrain): void {
  const tags = ['operations'];
  http.get('/healthz', {
    schema: {
      tags,
      operationId: 'getHealth',
      summary: 'The process is alive',
      description: 'Asks nobody else: a process that answers this need not be started again.',
      response: { 200: Type.Object({ status: Type.Literal('ok') }) },
    },
    handler: () => ({ status: 'ok' as const }),
  });
  http.get('/readyz', {
    schema: {
      tags,
      operationId: 'getReadiness',
      summary: 'All that this service needs works',
      description: 'Otherwise 503, with the reasons by name in `failed`; `stopping`: send nothing more here.',
      response: { 200: Type.Object({ status: Type.Literal('ready') }), 503: ProblemSchema },
    },
    handler: async (_request, reply) => {
      const refusal = drain.refusal();
      const failed = refusal === undefined ? await failures(readiness) : { stopping: refusal };
      if (Object.keys(failed).length === 0) return { status: 'ready' as const };
      const detail = Object.entries(failed).map(([name, why]) => `${name}: ${why}`);
      return sendProblem(reply, new Problem(503, 'not_ready', detail.join('; '), { failed }, 1));
    },
  });
  http.get('/metrics', {
    schema: {
      tags,
      operationId: 'getMetrics',
      summary: 'Prometheus metrics',
      description: 'In the text format. What is not known at the moment is absent, not old and not zero.',
      response: { 200: { description: 'metrics', content: { 'text/plain': { schema: Type.String() } } } },
    },
    handler: async (_request, reply) => {
      await beforeScrape?.();
      return reply.type(registry.contentType).send(await registry.metrics());
    },
  });
  http.get('/openapi.json', {
    schema: {
      tags,
      operationId: 'getOpenApi',
      summary: 'This document',
      description: 'OpenAPI 3.1, made of the schemas by which requests are checked and answers are written.',
      response: { 200: Type.Record(Type.String(), Type.Unknown(), { description: 'an OpenAPI document' }) },
    },
    handler: () => http.swagger() as unknown as Record<string, unknown>,
  });
  for (const url of ['/healthz', '/readyz', '/metrics', '/openapi.json'])
    refuseOtherMethods(http, url, ['GET', 'HEAD']);
}
