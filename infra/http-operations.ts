/**
 * Serves health, readiness, metrics and the OpenAPI document, on the service's own port or on a separate one that can
 * be closed to everybody else.
 *
 * These routes change nothing and never count against a limit. Health, readiness and metrics are answered whatever the
 * `Host`, because orchestrators use addresses, and they contain no data of users.
 */
import { Type } from 'typebox';
import { messageOf } from './errors.ts';
import type { Http } from './http-instance.ts';
import { refuseOtherMethods } from './http-methods.ts';
import { registry } from './metrics.ts';
import { Problem, ProblemSchema, sendProblem } from './problem.ts';

export interface Operations {
  /** Each check resolves when its part works, and rejects with the reason when it does not. */
  readonly readiness: Readonly<Record<string, () => Promise<void> | void>>;
  /** Updates metrics that are computed only when they are requested. Never rejects. */
  readonly beforeScrape?: () => Promise<void>;
}

/** Paths that never count against a limit and are answered until the end. */
export const operationPaths: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/metrics', '/openapi.json']);
/** Paths that are answered whatever the `Host` is. */
export const hostlessPaths: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/metrics']);

export const operationTags = { operations: 'Health, readiness, metrics and this document' };

/** The service itself, which may be on another port. */
export interface OperatedService extends Operations {
  /** Why no more requests should be sent to it, or undefined. */
  readonly refusal: () => string | undefined;
  readonly document: () => unknown;
}

export function routeOperations(http: Http, service: OperatedService): void {
  const { readiness, beforeScrape, document } = service;
  const tags = ['operations'];
  // Orchestrators and monitoring have no keys, and nothing here is about clicks or persons.
  const config = { scope: 'open' } as const;
  http.get('/healthz', {
    config,
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
    config,
    schema: {
      tags,
      operationId: 'getReadiness',
      summary: 'All that this service needs works',
      description: 'Otherwise 503, with the reasons by name in `failed`; `stopping`: send nothing more here.',
      response: { 200: Type.Object({ status: Type.Literal('ready') }), 503: ProblemSchema },
    },
    handler: async (_request, reply) => {
      const refusal = service.refusal();
      const failed = refusal === undefined ? await failures(readiness) : { stopping: refusal };
      if (Object.keys(failed).length === 0) return { status: 'ready' as const };
      const detail = Object.entries(failed).map(([name, why]) => `${name}: ${why}`);
      return sendProblem(reply, new Problem(503, 'not_ready', detail.join('; '), { failed }, 1));
    },
  });
  http.get('/metrics', {
    config,
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
    config,
    schema: {
      tags,
      operationId: 'getOpenApi',
      summary: 'This document',
      description: 'OpenAPI 3.1, made of the schemas by which requests are checked and answers are written.',
      response: { 200: Type.Record(Type.String(), Type.Unknown(), { description: 'an OpenAPI document' }) },
    },
    handler: () => document() as Record<string, unknown>,
  });
  for (const url of operationPaths) refuseOtherMethods(http, url, ['GET', 'HEAD']);
}

/** Runs every check, each for at most `timeoutMs`. Returns the failures by name. */
async function failures(checks: Operations['readiness'], timeoutMs = 2_000): Promise<Record<string, string>> {
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
