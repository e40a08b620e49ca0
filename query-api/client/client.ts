/**
 * A client of both services, typed by their OpenAPI documents (`operations.ts`):
 *
 *     const client = createClient({ queryApiUrl: 'http://127.0.0.1:8081' });
 *     const { count, state } = await client.ask('getAggregatedCount', { params: { ad_id: 'ad-42' } });
 *     for await (const { data } of client.listen({ signal })) console.log(data.clicks_per_second);
 *
 * Every call ends: with an answer, a `ProblemError`, `Unreachable`, or because the caller's signal ends it.
 */
import { withAttempts } from './attempts.ts';
import { jsonLinesOf } from './json-lines.ts';
import { type LiveMessage, listen } from './listen.ts';
import { type NoInput, type Operations, operations, type Place } from './operations.ts';
import { ProblemError, problemErrorOf, Unreachable } from './problem-error.ts';
import { authorizationOf, type Input, requestOf } from './request.ts';

export type { LiveMessage } from './listen.ts';
export type { Operations, Problem } from './operations.ts';
export { InvalidInput, ProblemError, Unreachable } from './problem-error.ts';

export interface ClientOptions {
  readonly queryApiUrl?: string;
  readonly ingestUrl?: string;
  /** The API key that is sent with every call, to both services. */
  readonly apiKey?: string | undefined;
  /** Limits one try of a call, including its answer. For a stream it limits the wait for the beginning and for each next piece. */
  readonly timeoutMs?: number;
  /** How often a call is tried in all, if it may be made twice. */
  readonly maxTries?: number;
  readonly fetch?: typeof fetch;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Whether the same call may be made twice. By default true, except for POST. Posted clicks may be repeated if each has an `event_id`. */
  readonly isIdempotent?: boolean;
}

type Name = keyof Operations;
export type InputOf<N extends Name> = Operations[N]['input'];
export type AnswerOf<N extends Name> = Operations[N]['answer'];
type NamesThatGive<G extends Place['gives']> = {
  [N in Name]: (typeof operations)[N]['gives'] extends G ? N : never;
}[Name];
type Arguments<N extends Name> =
  NoInput extends InputOf<N> ? [input?: InputOf<N>, options?: CallOptions] : [input: InputOf<N>, options?: CallOptions];

export interface Client {
  /** @throws ProblemError, Unreachable */
  ask<N extends NamesThatGive<'json' | 'text' | 'nothing'>>(name: N, ...given: Arguments<N>): Promise<AnswerOf<N>>;
  /** Gives the answer line by line, as it arrives. A stream that breaks is not started again. @throws ProblemError, Unreachable */
  lines<N extends NamesThatGive<'lines'>>(name: N, ...given: Arguments<N>): AsyncGenerator<AnswerOf<N>>;
  /** Gives live events. After a break it connects again by itself and gives the events that were missed. @throws ProblemError, Unreachable */
  listen(options?: CallOptions): AsyncGenerator<LiveMessage>;
}

export const defaultUrls = { ingest: 'http://127.0.0.1:8080', 'query-api': 'http://127.0.0.1:8081' } as const;

export function createClient(options: ClientOptions = {}): Client {
  const connection: Connection = {
    urls: {
      ingest: options.ingestUrl ?? defaultUrls.ingest,
      'query-api': options.queryApiUrl ?? defaultUrls['query-api'],
    },
    timeoutMs: options.timeoutMs ?? 30_000,
    maxTries: options.maxTries ?? 4,
    fetch: options.fetch ?? globalThis.fetch,
    authorization: authorizationOf(options.apiKey),
  };
  return {
    ask: (name, ...[input, given]: [Input?, CallOptions?]) => ask(connection, name, input, given) as Promise<never>,
    lines: (name, ...[input, given]: [Input?, CallOptions?]) =>
      lines(connection, operations[name], input, given) as AsyncGenerator<never>,
    listen: ({ signal } = {}) =>
      listen({
        maxTries: connection.maxTries,
        signal,
        open: lastEventId => liveBytes(connection, lastEventId, signal),
      }),
  };
}

interface Connection {
  /** The header with the API key, if there is one. */
  readonly authorization: Readonly<Record<string, string>>;
  readonly urls: Readonly<Record<Place['service'], string>>;
  readonly timeoutMs: number;
  readonly maxTries: number;
  readonly fetch: typeof fetch;
}

async function ask(
  connection: Connection,
  name: Name,
  input: Input = {},
  { signal, ...given }: CallOptions = {},
): Promise<unknown> {
  const place = operations[name];
  const { maxTries, timeoutMs } = connection;
  const isIdempotent = given.isIdempotent ?? (place.method !== 'POST' || areIdentified(name, input.body));
  const attempt = async () => {
    const response = await send(connection, place, input, { timeout: AbortSignal.timeout(timeoutMs), signal });
    try {
      return await contentOf(response, place.gives);
    } catch (error) {
      throw asUnreachable(error, response.url, signal);
    }
  };
  return await withAttempts(attempt, { isIdempotent, maxTries, signal });
}

async function* lines(
  connection: Connection,
  place: Place,
  input: Input = {},
  { signal }: CallOptions = {},
): AsyncGenerator<unknown> {
  const quiet = quietTimer(connection.timeoutMs);
  try {
    const response = await send(connection, place, input, { timeout: quiet.signal, signal });
    try {
      yield* jsonLinesOf(quiet.watch(response.body));
    } catch (error) {
      throw asUnreachable(error, response.url, signal);
    }
  } finally {
    quiet.stop();
  }
}

/** The bytes of one connection to GET /v1/live. */
async function* liveBytes(
  connection: Connection,
  lastEventId: string | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const quiet = quietTimer(connection.timeoutMs);
  const headers = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
  try {
    const response = await send(connection, operations.listen, {}, { headers, timeout: quiet.signal, signal });
    yield* quiet.watch(response.body);
  } finally {
    quiet.stop();
  }
}

/** Resolves to a successful response. `timeout` also ends the reading of its body. */
async function send(
  { urls, fetch, authorization }: Connection,
  place: Place,
  input: Input,
  { headers, timeout, signal }: SendOptions,
): Promise<Response> {
  const { url, init } = requestOf(urls[place.service], place, input);
  const signals = [timeout, signal].filter(given => given !== undefined);
  const response = await fetch(url, {
    ...init,
    headers: { ...(init.headers as Record<string, string>), ...authorization, ...headers },
    signal: AbortSignal.any(signals),
  }).catch(error => {
    throw asUnreachable(error, url, signal);
  });
  if (!response.ok) throw await problemErrorOf(response);
  return response;
}

interface SendOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeout: AbortSignal;
  readonly signal: AbortSignal | undefined;
}

/** Whether each click of a post has an `event_id`. A click that has one counts once, however often it is posted. */
function areIdentified(name: Name, body: unknown): boolean {
  if (name !== 'postClicks') return false;
  return [body].flat().every(click => typeof (click as { event_id?: unknown } | null)?.event_id === 'string');
}

async function contentOf(response: Response, gives: Place['gives']): Promise<unknown> {
  if (gives === 'json') return await response.json();
  if (gives === 'text') return await response.text();
  await response.body?.cancel();
  return undefined;
}

/** An error that the caller's own signal caused stays as it is: it is not a fault of the service. */
function asUnreachable(error: unknown, url: string, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted || error instanceof ProblemError || error instanceof Unreachable) return error;
  const { cause = error, name } = error as Error;
  const { origin } = new URL(url);
  if (name === 'TimeoutError') return new Unreachable(`${origin} did not answer in time`, { cause });
  const why = cause instanceof Error ? ((cause as NodeJS.ErrnoException).code ?? cause.message) : String(cause);
  if (ofCertificate.test(why)) return new Unreachable(`${origin} has a certificate ${untrusted} (${why})`, { cause });
  return new Unreachable(`${origin} does not answer (${why})`, { cause });
}

/** Node's codes for what it does not accept of a certificate. */
const ofCertificate = /CERT|LEAF_SIGNATURE|ISSUER/;
const untrusted =
  'that is not accepted here; if its authority is your own, NODE_EXTRA_CA_CERTS must name the file of that authority';

/** Ends a stream from which nothing has arrived for `timeoutMs`. */
function quietTimer(timeoutMs: number) {
  const controller = new AbortController();
  const onQuiet = () => controller.abort(new DOMException('nothing arrived in time', 'TimeoutError'));
  const timer = setTimeout(onQuiet, timeoutMs);
  return {
    signal: controller.signal,
    stop: () => clearTimeout(timer),
    async *watch(body: ReadableStream<Uint8Array> | null): AsyncGenerator<Uint8Array> {
      for await (const piece of body ?? []) {
        timer.refresh();
        yield piece;
      }
    },
  };
}
