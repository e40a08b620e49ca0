/**
 * Keeps for whom something is being done.
 *
 * The end of a request must reach its database statements through a dozen calls that have nothing to do with it. So it
 * is not passed as an argument but kept beside the work, in Node's storage for asynchronous calls. Whoever sends a
 * statement looks here (infra/clickhouse/clickhouse.ts).
 *
 * This file handles three traps. Work that continues after a request, for others, must not begin inside it:
 * `forNobody`. Work that several wait for lives as long as one of them does: `shared`. An iterator runs in the name of
 * whoever takes its pieces, which is a socket that has drained: `keepingAsker`.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { setMaxListeners } from 'node:events';

export interface Asker {
  /** Aborts once nobody waits any more, or nobody may wait any longer. Its reason is the error that says so. */
  readonly signal: AbortSignal;
  /** The client whose share the work counts for. */
  readonly client: string;
  /** Health, readiness or metrics. They never wait behind users. */
  readonly isOperation: boolean;
  /** The process itself, for work that can be given up. It waits for its turn as long as that takes. */
  readonly isProcess?: boolean;
  /**
   * Present when the request asks for raw clicks: everything that is read for it waits once in the queue and has one
   * place (clickhouse/tickets.ts). It aborts once the answer is complete or given up.
   */
  readonly ticket?: AbortSignal;
  /** Is told for how long such a request had a place, when it has given it back. */
  readonly onPlaceHeld?: (seconds: number) => void;
}

const storage = new AsyncLocalStorage<Asker | undefined>();

/** Returns undefined when the process itself works, which nobody can abandon. */
export function currentAsker(): Asker | undefined {
  return storage.getStore();
}

export function askedBy<T>(asker: Asker, work: () => T): T {
  setMaxListeners(0, asker.signal);
  return storage.run(asker, work);
}

/** Runs work that continues for others, whoever happens to start it. */
export function forNobody<T>(work: () => T): T {
  return storage.run(undefined, work);
}

/** Waits for work that continues for others, for as long as the current asker waits. */
export async function whileAsked<T>(
  work: Promise<T>,
  onLeave: (reason: unknown) => void = () => undefined,
): Promise<T> {
  const signal = currentAsker()?.signal;
  if (signal === undefined) return await work;
  // The work may fail when nobody waits for it any more.
  work.catch(() => undefined);
  signal.throwIfAborted();
  const { promise: gone, reject } = Promise.withResolvers<never>();
  const leave = () => {
    onLeave(signal.reason);
    reject(signal.reason);
  };
  signal.addEventListener('abort', leave, { once: true });
  try {
    return await Promise.race([work, gone]);
  } finally {
    signal.removeEventListener('abort', leave);
  }
}

/** Returns the same pieces, and takes each of them in the name of the current asker. */
export function keepingAsker<T>(pieces: AsyncIterable<T>): AsyncIterableIterator<T> {
  const within = AsyncLocalStorage.snapshot();
  const iterator = within(() => pieces[Symbol.asyncIterator]());
  const done = { done: true, value: undefined } as const;
  return {
    next: () => within(() => iterator.next()),
    return: value => within(async () => (await iterator.return?.(value)) ?? done),
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

export interface Shared<T> {
  /** The work was given up because nobody waits. A new caller must start it again. */
  readonly isGivenUp: boolean;
  /** Waits for as long as the current asker waits. */
  join(): Promise<T>;
  /** Resolves when the work has ended, in whatever way. */
  readonly ended: Promise<void>;
}

/**
 * Runs one piece of work for all who join it. It is given up when the last of them has gone, and not before. It has no
 * ticket, whoever started it: others must not wait in a queue in which only the first of them must wait. So work that
 * several may wait for never reads raw clicks.
 */
export function shared<T>(work: () => Promise<T>): Shared<T> {
  const { client = '', isOperation = false, isProcess = false } = currentAsker() ?? {};
  const end = new AbortController();
  const asker = { client, isOperation, isProcess, signal: end.signal };
  const result = askedBy(asker, work);
  const ended = result.then(
    () => undefined,
    () => undefined,
  );
  let waiting = 0;
  return {
    ended,
    get isGivenUp() {
      return end.signal.aborted;
    },
    async join() {
      waiting++;
      return await whileAsked(result, reason => {
        waiting--;
        if (waiting === 0) end.abort(reason);
      });
    },
  };
}
