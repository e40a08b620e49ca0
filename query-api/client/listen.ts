/**
 * Gives the events of GET /v1/live, over as many connections as are needed. After a break it connects again with the id of
 * the last event, so that no event is missed. It gives up after `maxTries` failed connections in a row.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type EventSourceMessage, EventSourceParserStream } from 'eventsource-parser/stream';
import type { Operations } from './operations.ts';
import { ProblemError, Unreachable } from './problem-error.ts';

export type LiveMessage =
  | { readonly kind: 'event'; readonly id: string; readonly data: Operations['listen']['answer'] }
  /** The service no longer knows which events were missed. The next event holds the whole state. */
  | { readonly kind: 'reset' }
  /** ClickHouse does not answer at the moment. */
  | { readonly kind: 'unavailable'; readonly detail: string };

export interface ListenOptions {
  /** Opens one connection and gives its bytes. */
  readonly open: (lastEventId: string | undefined) => AsyncIterable<Uint8Array>;
  readonly maxTries: number;
  readonly signal: AbortSignal | undefined;
  readonly pauseMs?: number;
}

export async function* listen({ open, maxTries, signal, pauseMs = 2_000 }: ListenOptions): AsyncGenerator<LiveMessage> {
  let lastEventId: string | undefined;
  for (let failures = 0; !signal?.aborted; ) {
    let failure: unknown = new Unreachable('the stream of live events ended');
    try {
      for await (const message of messagesOf(open(lastEventId))) {
        failures = 0;
        if (message.kind === 'event') lastEventId = message.id;
        yield message;
      }
    } catch (error) {
      failure = error;
    }
    if (signal?.aborted) return;
    // If no event has ever arrived, the address is probably wrong: the caller learns of it at once.
    if (lastEventId === undefined || ++failures >= maxTries || !mayPass(failure)) throw failure;
    await sleep(pauseMs, undefined, { ...(signal ? { signal } : {}) }).catch(() => undefined);
  }
}

async function* messagesOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<LiveMessage> {
  const events = ReadableStream.from(bytes)
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream({ onError: 'terminate', maxBufferSize: maxEventCharacters }));
  // Other events say nothing about counts and are skipped, for example `closing`, which announces the end of a connection.
  for await (const event of events) if (known.has(event.event)) yield messageOf(event);
}

function messageOf({ event, id = '', data }: EventSourceMessage): LiveMessage {
  if (event === 'reset') return { kind: 'reset' };
  if (event === 'unavailable') return { kind: 'unavailable', detail: String(JSON.parse(data).detail) };
  return { kind: 'event', id, data: JSON.parse(data) };
}

const known = new Set([undefined, 'message', 'reset', 'unavailable']);

const maxEventCharacters = 4 * 1_024 * 1_024;

/** A request that was refused as wrong stays wrong. A service that does not answer may answer later. */
function mayPass(error: unknown): boolean {
  return !(error instanceof ProblemError) || error.status === 429 || error.status >= 500;
}
