/** One request that waits until the log has its clicks. */
import type { TraceContext } from '../infra/trace-context.ts';

/** One call of `append`. It settles when all its chunks are acknowledged, or with the first failure. */
export class Append {
  readonly done: Promise<void>;
  readonly trace: TraceContext | undefined;
  settled = false;
  #chunksLeft = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #resolve: () => void;
  readonly #reject: (reason: Error) => void;

  constructor(trace?: TraceContext) {
    this.trace = trace;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.done = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  begin(chunks: number, timeoutMs: number, onTimeout: () => void): void {
    this.#chunksLeft = chunks;
    this.#timer = setTimeout(onTimeout, timeoutMs);
  }

  acknowledge(): void {
    if (--this.#chunksLeft > 0 || this.settled) return;
    this.#settle();
    this.#resolve();
  }

  fail(reason: Error): void {
    if (this.settled) return;
    this.#settle();
    this.#reject(reason);
  }

  #settle(): void {
    this.settled = true;
    clearTimeout(this.#timer);
  }
}
