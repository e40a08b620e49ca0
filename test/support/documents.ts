/** Both services' OpenAPI documents, and the routes they have really registered, without Kafka or ClickHouse. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Readable } from 'node:stream';
import type { FastifyInstance, onSendAsyncHookHandler, RouteOptions } from 'fastify';
import { pino } from 'pino';
import { loadConfig } from '../../infra/config.ts';
import type { Http } from '../../infra/http.ts';
import { buildIngestApp, type IngestDeps } from '../../ingest/app.ts';
import { IngestConfig } from '../../ingest/config.ts';
import { buildQueryApi, type QueryApiDeps } from '../../query-api/app.ts';
import { QueryApiConfig } from '../../query-api/config.ts';

export interface Document {
  readonly openapi: string;
  readonly tags?: readonly { readonly name: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
}

export interface Operation {
  readonly operationId?: string;
  readonly tags?: readonly string[];
  readonly summary?: string;
  readonly description?: string;
  readonly parameters?: readonly Parameter[];
  /** Choices: by which scheme, with which scopes. */
  readonly security?: readonly Readonly<Record<string, readonly string[]>>[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: Content }>>;
}

export interface Parameter {
  readonly in: string;
  readonly name: string;
  readonly required?: boolean;
  readonly description?: string;
  readonly schema: unknown;
}

export type Content = Readonly<Record<string, { readonly schema?: unknown }>>;

export interface Documented {
  readonly document: Document;
  readonly routes: readonly RouteOptions[];
}

export const queryApiDocument = () => documented(queryApi);
export const ingestDocument = () => documented(ingest);

/** With nothing behind it: whatever gets as far as asking fails. */
export async function queryApi(
  env: Record<string, string> = {},
  deps: Partial<
    Pick<QueryApiDeps, 'keys' | 'appendKeyChange' | 'audit' | 'log' | 'tls' | 'validityRules' | 'now'>
  > = {},
): Promise<Http> {
  return await buildQueryApi({
    config: loadConfig(QueryApiConfig, env),
    clickhouse: {
      query: nothing,
      queryLines: nothing,
      command: nothing,
      stream: () => Readable.from([]),
      insert: nothing,
      disks: nothing,
      ping: nothing,
      [Symbol.asyncDispose]: async () => undefined,
    },
    log: pino({ level: 'silent' }),
    now: Date.now,
    countedLog: { endOffsets: nothing, sinkPositions: nothing },
    ...deps,
  });
}

export async function ingest(
  env: Record<string, string> = {},
  { keys, audit }: Pick<IngestDeps, 'keys' | 'audit'> = {},
): Promise<Http> {
  return await buildIngestApp({
    config: loadConfig(IngestConfig, env),
    clickLog: { append: nothing, refusal: () => undefined },
    log: pino({ level: 'silent' }),
    kafkaReady: nothing,
    rulesKnown: () => undefined,
    ...(keys && { keys }),
    ...(audit && { audit }),
  });
}

async function documented(build: () => Promise<Http>): Promise<Documented> {
  const { http, routes } = await routesOf(build);
  const document: unknown = JSON.parse(JSON.stringify(http.swagger()));
  await http.close();
  return { document: document as Document, routes };
}

/** Builds a service, with all that it registers. `onSend` sees each answer, as a hook of Fastify. */
export async function routesOf(
  build: () => Promise<Http>,
  onSend?: onSendAsyncHookHandler,
): Promise<{ readonly http: Http; readonly routes: readonly RouteOptions[] }> {
  const routes: RouteOptions[] = [];
  const onInstance = (message: unknown) => {
    const { fastify } = message as { fastify: FastifyInstance };
    fastify.addHook('onRoute', route => void routes.push(route));
    if (onSend) fastify.addHook('onSend', onSend);
  };
  subscribe('fastify.initialization', onInstance);
  const http = await build().finally(() => unsubscribe('fastify.initialization', onInstance));
  await http.ready();
  return { http, routes };
}

const nothing = () => Promise.reject(new Error('a document is made without asking anybody'));
