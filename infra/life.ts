/**
 * Describes how a process comes to its end: it serves, it leaves, it stops, it is gone.
 *
 * From the moment it is told to stop, it says so on `/readyz` and continues to serve for `DRAIN_DELAY_MS`, because
 * senders of requests learn of it a little later. Then it accepts nothing new, and has `DRAIN_TIMEOUT_MS` for what it
 * has accepted. The last part of that time belongs to its buffers.
 */
import type { ProcessConfig } from './config.ts';

export interface Life {
  /** Fires when the process has been told to stop. It goes on serving. */
  readonly leaving: AbortSignal;
  /** Fires when nothing new is to be taken: `DRAIN_DELAY_MS` later, or at once if nobody was served. */
  readonly stop: AbortSignal;
  /** From now on others may send requests. */
  serves(): void;
  /** How long requests that have been taken may go on. */
  requestsMs(): number;
}

export type DrainLimits = Pick<ProcessConfig, 'DRAIN_DELAY_MS' | 'DRAIN_TIMEOUT_MS'>;

/** What a process that ends from within has for all of it: something in it hangs, and the next is waiting to start. */
export const crashTimeoutMs = 8_000;

/** `onStop`: called when `stop` fires. */
export function beginLife(limits: DrainLimits, onStop: () => void): { life: Life; leave: () => void } {
  const leaving = new AbortController();
  const stop = new AbortController();
  let isServing = false;
  let stoppedAt: number | undefined;
  const end = () => {
    stoppedAt = performance.now();
    onStop();
    stop.abort();
  };
  const leave = () => {
    if (leaving.signal.aborted) return;
    leaving.abort();
    if (isServing && limits.DRAIN_DELAY_MS > 0) setTimeout(end, limits.DRAIN_DELAY_MS);
    else end();
  };
  const life: Life = {
    leaving: leaving.signal,
    stop: stop.signal,
    serves() {
      isServing = true;
    },
    requestsMs() {
      if (stoppedAt === undefined) return forRequestsMs(crashTimeoutMs);
      return Math.max(0, stoppedAt + forRequestsMs(limits.DRAIN_TIMEOUT_MS) - performance.now());
    },
  };
  return { life, leave };
}

/** Of a limit of `allMs` for everything: what is answered with 202 must still be acknowledged by Kafka, groups be left. */
function forRequestsMs(allMs: number): number {
  return allMs - Math.min(10_000, allMs / 4);
}
