/**
 * Limits how many bytes of request bodies are in memory while they are received, in total and for one client.
 *
 * A body that stops arriving is ended, so that nobody can hold memory by being slow. When there is no room, the body
 * that has been idle longest is ended, among those of the client that holds the most. If that client is the one that
 * asks, any client's stalled body may be ended. So a client that really sends finds room, whatever slow connections
 * others have open.
 */

import { Problem } from '../infra/http.ts';
import type { Client } from '../infra/http-clients.ts';

export interface BodyBudgetOptions {
  /** For all bodies together. */
  readonly budgetBytes: number;
  /** For all bodies of one client. */
  readonly clientBudgetBytes: number;
  /** A body whose average over any `paceMs` is less than this is ended. 0 means that none is. */
  readonly minBytesPerSecond: number;
  readonly paceMs?: number;
  readonly stepBytes?: number;
  /** Milliseconds of a clock that does not go back. */
  readonly now?: () => number;
}

/**
 * A body counts as progressing with each block of this many bytes. Sending single bytes does not keep it from being
 * idle.
 */
const defaultStepBytes = 512;
/** A body that has been idle for this long makes room for one that progresses, whoever holds more. */
const idleMs = 1_000;

/** What a body is measured over. A packet that is lost on a bad line comes again within so long. */
const defaultPaceMs = 5_000;

export class BodyUnderWay {
  bytes = 0;
  /** When it last progressed, and how many bytes have arrived since. */
  cameOnAt: number;
  stepBytes = 0;
  /** Bytes since `paceSince`. */
  paceBytes = 0;
  paceSince: number;
  readonly client: Client;
  /** Is called when the body is ended from outside. */
  end: (why: Problem) => void = () => undefined;

  constructor(client: Client, at: number) {
    this.client = client;
    this.cameOnAt = at;
    this.paceSince = at;
  }
}

export class BodyBudget {
  readonly #options: BodyBudgetOptions;
  readonly #paceMs: number;
  readonly #stepBytes: number;
  readonly #now: () => number;
  #bytes = 0;
  /** By client. The first body of each client is the one that has been idle longest. */
  readonly #watched = new Map<Client, Set<BodyUnderWay>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: BodyBudgetOptions) {
    this.#options = options;
    this.#paceMs = options.paceMs ?? defaultPaceMs;
    this.#stepBytes = options.stepBytes ?? defaultStepBytes;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Bytes of bodies that are being received, or were received and are not released yet. */
  get bytes(): number {
    return this.#bytes;
  }

  begin(client: Client): BodyUnderWay {
    return new BodyUnderWay(client, this.#now());
  }

  /** From now on the body must make progress. A body that arrives all at once, as most do, need not be watched. */
  watch(body: BodyUnderWay): void {
    const bodies = this.#watched.get(body.client);
    if (bodies) bodies.add(body);
    else this.#watched.set(body.client, new Set([body]));
    this.#timer ??= setInterval(() => this.endSlow(), this.#paceMs / 5).unref();
  }

  /** The body has been received. From now on it is not idle, however long it is kept. */
  unwatch(body: BodyUnderWay): void {
    const bodies = this.#watched.get(body.client);
    if (!bodies?.delete(body) || bodies.size > 0) return;
    this.#watched.delete(body.client);
    if (this.#watched.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Counts its next bytes, and ends other bodies when there is no room. @throws Problem when that does not help */
  take(body: BodyUnderWay, bytes: number): void {
    const { client } = body;
    body.bytes += bytes;
    body.paceBytes += bytes;
    client.heldBytes += bytes;
    this.#bytes += bytes;
    body.stepBytes += bytes;
    if (body.stepBytes >= this.#stepBytes) this.#comesOn(body);
    while (client.heldBytes > this.#options.clientBudgetBytes) {
      const idlest = this.#idlestOf(client, body);
      if (idlest === undefined) throw clientBusy(client, this.#options.clientBudgetBytes);
      this.#end(idlest, evicted());
    }
    while (this.#bytes > this.#options.budgetBytes) {
      const idlest = this.#idlestOf(this.#largest(), body) ?? this.#idleOfAny(body);
      if (idlest === undefined) throw busy();
      this.#end(idlest, evicted());
    }
  }

  /** The body is not in memory any more. */
  release(body: BodyUnderWay): void {
    this.unwatch(body);
    body.client.heldBytes -= body.bytes;
    this.#bytes -= body.bytes;
    body.bytes = 0;
  }

  /** Ends the bodies that have made no progress in the last `paceMs`. */
  endSlow(): void {
    const { minBytesPerSecond } = this.#options;
    const at = this.#now();
    const leastBytes = (minBytesPerSecond * this.#paceMs) / 1_000;
    for (const body of [...this.#watched.values()].flatMap(bodies => [...bodies])) {
      if (at - body.paceSince < this.#paceMs) continue;
      if (body.paceBytes < leastBytes) this.#end(body, tooSlow(minBytesPerSecond, this.#paceMs));
      body.paceSince = at;
      body.paceBytes = 0;
    }
  }

  #comesOn(body: BodyUnderWay): void {
    body.stepBytes = 0;
    body.cameOnAt = this.#now();
    const bodies = this.#watched.get(body.client);
    if (bodies?.delete(body)) bodies.add(body);
  }

  /** Considers the bodies that hold memory, except `asking`, for which the room is made. */
  #idlestOf(client: Client | undefined, asking: BodyUnderWay): BodyUnderWay | undefined {
    if (client === undefined) return undefined;
    for (const body of this.#watched.get(client) ?? []) if (body.bytes > 0 && body !== asking) return body;
    return undefined;
  }

  /** Considers the bodies of all clients, if they have been idle for long enough. */
  #idleOfAny(asking: BodyUnderWay): BodyUnderWay | undefined {
    const at = this.#now();
    for (const client of this.#watched.keys()) {
      const idlest = this.#idlestOf(client, asking);
      if (idlest && at - idlest.cameOnAt >= idleMs) return idlest;
    }
    return undefined;
  }

  #largest(): Client | undefined {
    let largest: Client | undefined;
    for (const client of this.#watched.keys()) {
      if (client.heldBytes > (largest?.heldBytes ?? 0)) largest = client;
    }
    return largest;
  }

  #end(body: BodyUnderWay, why: Problem): void {
    this.release(body);
    body.end(why);
  }
}

function tooSlow(minBytesPerSecond: number, paceMs: number): Problem {
  return new Problem(
    408,
    'body_too_slow',
    `the body must arrive at ${minBytesPerSecond} bytes per second or faster, on average of any ${paceMs / 1_000} s (INGEST_MIN_BODY_BYTES_PER_SECOND)`,
  );
}

function evicted(): Problem {
  return new Problem(
    408,
    'body_evicted',
    'there was no more room for request bodies, and this body had been idle the longest of the client that used the most: send it again',
    {},
    1,
  );
}

function busy(): Problem {
  return new Problem(503, 'busy', 'too many request bodies are being received', {}, 1);
}

export function clientBusy({ network }: Client, budgetBytes: number): Problem {
  return new Problem(
    429,
    'client_busy',
    `requests from ${network} hold more than ${budgetBytes} bytes (INGEST_CLIENT_BUFFER_BYTES): wait for their answers`,
    {},
    1,
    { policy: 'client-bytes', quota: budgetBytes, unit: 'content-bytes', remaining: 0 },
  );
}
