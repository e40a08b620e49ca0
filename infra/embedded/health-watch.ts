/**
 * Notices a child that no longer answers `/healthz`, for any reason that its own watchdog does not see (it was stopped,
 * or its server is gone). A child that has not answered yet is starting, and may take as long as it needs: it may be
 * waiting for Kafka. Time in which the supervisor itself did not run does not count.
 */
import { pause } from '../pause.ts';

export interface WatchedChild {
  /** Without path. */
  readonly url: string;
  /** Milliseconds without any answer until the child counts as silent. */
  readonly timeoutMs: number;
  /** Is called once. */
  readonly onSilent: (silentMs: number) => void;
  readonly signal: AbortSignal;
}

export async function watchHealth({ url, timeoutMs, onSilent, signal }: WatchedChild): Promise<void> {
  const pauseMs = Math.min(5_000, timeoutMs / 8);
  let silentMs: number | undefined;
  for (let turnAt = performance.now(); !signal.aborted; ) {
    const isThere = await answers(url, pauseMs, signal);
    await pause(pauseMs, signal);
    const tookMs = performance.now() - turnAt;
    turnAt = performance.now();
    if (isThere) silentMs = 0;
    else if (silentMs !== undefined) silentMs += Math.min(tookMs, 2 * pauseMs);
    if (signal.aborted || silentMs === undefined || silentMs < timeoutMs) continue;
    return onSilent(Math.round(silentMs));
  }
}

/** Any answer counts: a child that answers is not silent. */
async function answers(url: string, withinMs: number, signal: AbortSignal): Promise<boolean> {
  try {
    const answer = await fetch(`${url}/healthz`, { signal: AbortSignal.any([signal, AbortSignal.timeout(withinMs)]) });
    await answer.text();
    return true;
  } catch {
    return false;
  }
}
