/**
 * Posts batches of clicks to ingest, and returns its verdicts.
 *
 * After an error that may pass (network errors, 503, 429, other 5xx) it tries again with growing pauses and the same
 * bytes. So the event_ids are the same, because ingest may have accepted the batch although its answer was lost.
 */

import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { ConfigError, messageOf, Retryable } from '../../infra/errors.ts';
import { pause } from '../../infra/pause.ts';

export interface Verdicts {
  readonly accepted: number;
  readonly rejected: readonly { readonly index: number; readonly code: string; readonly message: string }[];
  /** Fields that broke a rule and were left out of clicks that count. */
  readonly warnings?: readonly { readonly field: string; readonly message: string }[];
}

/**
 * `lines` are clicks as JSON, without newlines. Returns undefined if it was stopped before the outcome was known.
 * @throws Retryable when nothing succeeded for `giveUpAfterMs`; ConfigError when trying again cannot help
 */
export type Post = (lines: readonly string[]) => Promise<Verdicts | undefined>;

export interface PosterOptions {
  /** Base URL of ingest. */
  readonly url: string;
  readonly apiKey?: string | undefined;
  readonly giveUpAfterMs: number;
  readonly stop: AbortSignal;
  /** Is called before each pause. */
  readonly onRetry: (reason: string, pauseMs: number) => void;
  readonly fetch?: typeof fetch;
  readonly firstPauseMs?: number;
}

export function createPoster(options: PosterOptions): Post {
  const { giveUpAfterMs, stop, onRetry, firstPauseMs = 200 } = options;
  return async function post(lines): Promise<Verdicts | undefined> {
    const startedMs = performance.now();
    for (let pauseMs = firstPauseMs; !stop.aborted; pauseMs = Math.min(pauseMs * 2, maxPauseMs)) {
      const answer = await attempt(options, lines);
      switch (answer.kind) {
        case 'verdicts':
          return answer.verdicts;
        case 'told_in_part':
          return await postUntold(post, lines, answer.verdicts);
        case 'too_large':
          return await postHalves(post, lines, answer.reason);
        case 'hopeless':
          throw new ConfigError(answer.reason);
        case 'retry': {
          if (performance.now() - startedMs >= giveUpAfterMs) throw new Retryable(answer.reason);
          // Half of the pause is random, so that many feeds do not come back at the same moment.
          const waitMs = Math.max(answer.retryAfterMs, pauseMs * (0.5 + Math.random() / 2));
          onRetry(answer.reason, waitMs);
          await pause(waitMs, stop);
        }
      }
    }
    return undefined;
  };
}

type Answer =
  | { readonly kind: 'verdicts' | 'told_in_part'; readonly verdicts: Verdicts }
  | { readonly kind: 'retry'; readonly reason: string; readonly retryAfterMs: number }
  | { readonly kind: 'too_large' | 'hopeless'; readonly reason: string };

const maxPauseMs = 5_000;
const requestTimeoutMs = 35_000;

async function attempt(
  { url, apiKey, fetch = globalThis.fetch }: PosterOptions,
  lines: readonly string[],
): Promise<Answer> {
  try {
    const response = await fetch(new URL('/v1/clicks', url), {
      method: 'POST',
      headers: {
        'content-type': 'application/x-ndjson',
        ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
      },
      body: lines.join('\n'),
      signal: AbortSignal.timeout(requestTimeoutMs),
    });
    return answerOf(response, await response.text());
  } catch (error) {
    const cause = error instanceof Error && error.cause ? ` (${messageOf(error.cause)})` : '';
    return { kind: 'retry', reason: `${url}: ${messageOf(error)}${cause}`, retryAfterMs: 0 };
  }
}

function answerOf(response: Response, text: string): Answer {
  const { status } = response;
  const body = parseBody(text);
  const rejected = body?.rejected;
  const accepted = status === 400 && rejected && rejected.length > 0 ? 0 : body?.accepted;
  if ((status === 202 || status === 400) && accepted !== undefined && rejected) {
    const isAll = (body.rejected_total ?? rejected.length) <= rejected.length;
    return {
      kind: isAll ? 'verdicts' : 'told_in_part',
      verdicts: { accepted, rejected, ...(body.warnings && { warnings: body.warnings }) },
    };
  }
  const reason = `${response.url}: ${status} ${body?.detail ?? text.slice(0, 200)}`;
  if (status === 413) return { kind: 'too_large', reason };
  if (status === 408 || status === 429 || status >= 500)
    return { kind: 'retry', reason, retryAfterMs: retryAfterMsOf(response) };
  return { kind: 'hopeless', reason };
}

/**
 * Ingest reports the first rejections and counts the others. What comes after the last reported one is posted again, in
 * requests so small that all rejections are reported. What was accepted of it counts once, because its copies have the
 * same event_id.
 */
async function postUntold(post: Post, lines: readonly string[], told: Verdicts): Promise<Verdicts | undefined> {
  const rejected = [...told.rejected];
  const perRequest = Math.max(1, rejected.length);
  const untoldAt = (rejected.at(-1)?.index ?? -1) + 1;
  let accepted = untoldAt - rejected.length;
  for (let at = untoldAt; at < lines.length; at += perRequest) {
    const verdicts = await post(lines.slice(at, at + perRequest));
    if (!verdicts) return undefined;
    accepted += verdicts.accepted;
    for (const verdict of verdicts.rejected) rejected.push({ ...verdict, index: verdict.index + at });
  }
  return { accepted, rejected };
}

/** A server may be configured for smaller requests. A single click that is too large is a verdict. */
async function postHalves(post: Post, lines: readonly string[], reason: string): Promise<Verdicts | undefined> {
  if (lines.length === 1) return { accepted: 0, rejected: [{ index: 0, code: 'too_large', message: reason }] };
  const half = lines.length >> 1;
  const first = await post(lines.slice(0, half));
  const second = first && (await post(lines.slice(half)));
  if (!second) return undefined;
  const shifted = second.rejected.map(verdict => ({ ...verdict, index: verdict.index + half }));
  return { accepted: first.accepted + second.accepted, rejected: [...first.rejected, ...shifted] };
}

const AnswerBody = Type.Object({
  accepted: Type.Optional(Type.Integer()),
  rejected: Type.Optional(
    Type.Array(Type.Object({ index: Type.Integer(), code: Type.String(), message: Type.String() })),
  ),
  rejected_total: Type.Optional(Type.Integer()),
  warnings: Type.Optional(Type.Array(Type.Object({ field: Type.String(), message: Type.String() }))),
  detail: Type.Optional(Type.String()),
});

function parseBody(text: string): Static<typeof AnswerBody> | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return Value.Check(AnswerBody, json) ? json : undefined;
  } catch {
    return undefined;
  }
}

function retryAfterMsOf({ headers }: Response): number {
  const seconds = Number(headers.get('retry-after') ?? 0);
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1_000 : 0;
}
