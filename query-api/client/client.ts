/**
 * A client of both services, typed by their OpenAPI documents (`operations.ts`):
 *
 *     const client = createClient({ queryApiUrl: 'http://127.0.0.1:8081' });
 *     const { count, state } = await client.ask('getAggregatedCount', { params: { ad_id: 'ad-42' } });
 *     for await (const { data } of client.listen({ signal })) console.log(data.clicks_per_second);
 *
 * Every call ends: by an answer, a `ProblemError`, `Unreachable`, or the caller's signal.
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
  /** Is sent with every call, to both services. */
  readonly apiKey?: string | undefined;
  /** One try of a call, its answer included; of a stream: until it begins, and between two pieces. */
  readonly timeoutMs?: number;
  /** Of a call that may be made twice. */
  readonly maxTries?: number;
  readonly fetch?: typeof fetch;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Whether the same call may be made twice; default: all but POST, and posted clicks that all have an `event_id`. */
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
  /** The answer as it comes, line by line; a stream that breaks is not begun again. @throws ProblemError, Unreachable */
  lines<N extends NamesThatGive<'lines'>>(name: N, ...given: Arguments<N>): AsyncGenerator<AnswerOf<N>>;
  /** Live events; comes back by itself after a break, with what was missed. @throws ProblemError, Unreachable */
  listen(options?: CallOptions): AsyncGenerator<LiveMessage>;
}

export const defaultUrls = { ingest: 'http://127.0.0.1:8080', 'query-api': 'http://127.0.0.1:8081' } as const;

export function createClient(options: ClientOptions = {}): Client {
  const { timeoutMs = 30_000, maxTries = 4, fetch = globalThis.fetch } = options;
  const urls = {
    ingest: options.ingestUrl ?? defaultUrls.ingest,
    'query-api': options.queryApiUrl ?? defaultUrls['query-api'],
  };

  const own = authorizationOf(options.apiKey);
  /** Resolves to a success, of which `timeout` also ends the reading. */
  const send = async (place: Place, input: Input, { headers, timeout, signal }: SendOptions): Promise<Response> => {
    const { url, init } = requestOf(urls[place.service], place, input);
    const signals = [timeout, signal].filter(given => given !== undefined);
    const response = await fetch(url, {
      ...init,
      headers: { ...(init.headers as Record<string, string>), ...own, ...headers },
      signal: AbortSignal.any(signals),
    }).catch(error => {
      throw asUnreachable(error, url, signal);
    });
    if (!response.ok) throw await problemErrorOf(response);
    return response;
  };

  const call = async (name: Name, input: Input = {}, given: CallOptions = {}): Promise<unknown> => {
    const place = operations[name];
    const isIdempotent = given.isIdempotent ?? (place.method !== 'POST' || areIdentified(name, input.body));
    const attempt = async () => {
      const response = await send(place, input, { timeout: AbortSignal.timeout(timeoutMs), signal: given.signal });
      try {
        return await contentOf(response, place.gives);
      } catch (error) {
        throw asUnreachable(error, response.url, given.signal);
      }
    };
    return await withAttempts(attempt, { isIdempotent, maxTries, signal: given.signal });
  };

  return {
    ask: (name, ...[input, given]: [Input?, CallOptions?]) => call(name, input, given) as Promise<never>,
    async *lines(name, ...[input = {}, given = {}]: [Input?, CallOptions?]) {
      const quiet = quietTimer(timeoutMs);
      const response = await send(operations[name], input, { timeout: quiet.signal, signal: given.signal });
      try {
        yield* jsonLinesOf(quiet.watch(response.body)) as AsyncGenerator<never>;
      } catch (error) {
        throw asUnreachable(error, response.url, given.signal);
      } finally {
        quiet.stop();
      }
    },
    listen: ({ signal } = {}) =>
      listen({
        maxTries,
        signal,
        async *open(lastEventId) {
          const quiet = quietTimer(timeoutMs);
          const headers = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
          try {
            const response = await send(operations.listen, {}, { headers, timeout: quiet.signal, signal });
            yield* quiet.watch(response.body);
          } finally {
            quiet.stop();
          }
        },
      }),
  };
}

interface SendOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeout: AbortSignal;
  readonly signal: AbortSignal | undefined;
}

/** Posted again, clicks with an identity count once. */
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

/** The caller's own signal is not a fault of the service. */
function asUnreachable(error: unknown, url: string, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted || error instanceof ProblemError || error instanceof Unreachable) return error;
  const { cause = error, name } = error as Error;
  const { origin } = new URL(url);
  if (name === 'TimeoutError') return new Unreachable(`${origin} did not answer in time`, { cause });
  const why = cause instanceof Error ? ((cause as NodeJS.ErrnoException).code ?? cause.message) : String(cause);
  return new Unreachable(`${origin} does not answer (${why})`, { cause });
}

/** Ends a stream of which nothing has come for `timeoutMs`. */
function quietTimer(timeoutMs: number) {
  const controller = new AbortController();
  const onQuiet = () => controller.abort(new DOMException('nothing came in time', 'TimeoutError'));
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
