/**
 * Describes how a process comes to its end: it serves, it leaves, it stops, it is gone.
 *
 * From the moment it is told to stop, it says so on `/readyz` and continues to serve for `DRAIN_DELAY_MS`, because
 * senders of requests learn of it a little later. Then it accepts nothing new, and has `DRAIN_TIMEOUT_MS` for what it
 * has accepted. The last part of that time belongs to its buffers.
 */
import type { ProcessConfig } from './config.ts';

export interface Life {
  /** Fires when the process has been told to stop. It continues to serve. */
  readonly leaving: AbortSignal;
  /** Fires when nothing new may be accepted: `DRAIN_DELAY_MS` later, or at once if nobody was served. */
  readonly stop: AbortSignal;
  /** Is called when others may send requests from now on. */
  serves(): void;
  /** The time that accepted requests still have. */
  requestsMs(): number;
}

export type DrainLimits = Pick<ProcessConfig, 'DRAIN_DELAY_MS' | 'DRAIN_TIMEOUT_MS'>;

/**
 * The time for everything that a process does when it ends because of an internal error. Something in it may hang, and
 * the next process is waiting to start.
 */
export const crashTimeoutMs = 8_000;

/** `onStop` is called when `stop` fires. */
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

/**
 * The share of requests in a limit of `allMs` for everything. The rest is for clicks that were answered with 202 and
 * must be acknowledged by Kafka, and for leaving groups.
 */
function forRequestsMs(allMs: number): number {
  return allMs - Math.min(10_000, allMs / 4);
}
