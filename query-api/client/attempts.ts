/**
 * One call, tried again where that is safe and may help: only what can be asked twice, only after 408, 429, 503 or a
 * lost connection, a bounded number of times, and never sooner than `Retry-After` says. A service that is not there at all
 * (nothing listens) is told at once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ProblemError, Unreachable } from './problem-error.ts';

export interface AttemptOptions {
  /** Whether the same call may be made twice. */
  readonly isIdempotent: boolean;
  /** Tries in all. */
  readonly maxTries: number;
  readonly signal: AbortSignal | undefined;
  /** Longest pause; a `Retry-After` beyond it is left to the caller. */
  readonly maxPauseMs?: number;
  readonly firstPauseMs?: number;
}

/** @throws what the last try threw */
export async function withAttempts<T>(attempt: () => Promise<T>, options: AttemptOptions): Promise<T> {
  const { isIdempotent, maxTries, signal, maxPauseMs = 10_000, firstPauseMs = 200 } = options;
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      // Half of a pause is random, so that many clients do not come back at the same moment.
      const growingMs = firstPauseMs * 2 ** (tries - 1) * (0.5 + Math.random() / 2);
      const pauseMs = Math.max(askedPauseMs(error), Math.min(growingMs, maxPauseMs));
      const mayRepeat = isIdempotent && mayPass(error) && pauseMs <= maxPauseMs;
      if (!mayRepeat || tries >= maxTries || signal?.aborted) throw error;
      await sleep(pauseMs, undefined, { ...(signal ? { signal } : {}) });
    }
  }
}

function mayPass(error: unknown): boolean {
  if (error instanceof ProblemError) return error.status === 408 || error.status === 429 || error.status === 503;
  return error instanceof Unreachable && !isRefused(error);
}

function askedPauseMs(error: unknown): number {
  return error instanceof ProblemError ? (error.retryAfterMs ?? 0) : 0;
}

function isRefused({ cause }: Error): boolean {
  return cause instanceof Error && Reflect.get(cause, 'code') === 'ECONNREFUSED';
}
