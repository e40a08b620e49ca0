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
  /** Aborted once nobody waits any more, or nobody is to wait any longer. Its reason is the error that says so. */
  readonly signal: AbortSignal;
  /** Whose share it counts for. */
  readonly client: string;
  /** Health, readiness or metrics: never behind users. */
  readonly isOperation: boolean;
  /** The process itself, whose work can be given up: it waits for its turn as long as that takes. */
  readonly isProcess?: boolean;
  /**
   * It asks for raw clicks: all that is read for it stands in line once, and has one place (clickhouse/tickets.ts). Aborted
   * once its answer is made, or will not be.
   */
  readonly ticket?: AbortSignal;
}

const storage = new AsyncLocalStorage<Asker | undefined>();

/** Undefined: the process itself, which nobody can leave alone. */
export function currentAsker(): Asker | undefined {
  return storage.getStore();
}

export function askedBy<T>(asker: Asker, work: () => T): T {
  setMaxListeners(0, asker.signal);
  return storage.run(asker, work);
}

/** What goes on for others, whoever happens to set it off. */
export function forNobody<T>(work: () => T): T {
  return storage.run(undefined, work);
}

/** Waits for something that goes on for others, as long as who asks now does. */
export async function whileAsked<T>(
  work: Promise<T>,
  onLeave: (reason: unknown) => void = () => undefined,
): Promise<T> {
  const signal = currentAsker()?.signal;
  if (signal === undefined) return await work;
  // It may fail when nobody waits for it any more.
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

/** The same pieces, each of them taken in the name of who asks now. */
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
  /** Nobody waits, so it was given up: who comes now has to begin anew. */
  readonly isGivenUp: boolean;
  /** Waits as long as who asks now does. */
  join(): Promise<T>;
  /** Resolves when it has ended, however it did. */
  readonly ended: Promise<void>;
}

/**
 * One piece of work for all who join it: it is given up when the last of them has gone, and not before. It has no ticket,
 * whoever began it: others must not stand in a line that only the first of them has to stand in. So nothing that several
 * may wait for reads raw clicks.
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
