/**
 * Tries a call again where that is safe and may help. A call is repeated only if it may be made twice, only after 408,
 * 429, 503 or a lost connection, at most `maxTries` times in all, and never sooner than `Retry-After` says. If nothing
 * listens at the address, the call fails at once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ProblemError, Unreachable } from './problem-error.ts';

export interface AttemptOptions {
  /** Whether the same call may be made twice. */
  readonly isIdempotent: boolean;
  /** How often the call is tried in all. */
  readonly maxTries: number;
  readonly signal: AbortSignal | undefined;
  /** The longest pause. If `Retry-After` asks for a longer one, the call fails and the caller decides. */
  readonly maxPauseMs?: number;
  readonly firstPauseMs?: number;
}

/** @throws the error of the last try */
export async function withAttempts<T>(attempt: () => Promise<T>, options: AttemptOptions): Promise<T> {
  const { isIdempotent, maxTries, signal, maxPauseMs = 10_000, firstPauseMs = 200 } = options;
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      // Half of the pause is random, so that many clients do not try again at the same moment.
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
