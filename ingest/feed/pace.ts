/** Decides when the next click may be sent: at a fixed rate, or at a multiple of the log's own pace. */
import { pause } from '../../infra/pause.ts';

/** `timeMs`: the click's own time, if it can be read. Resolves early when stopped. */
export type Pace = (timeMs: number | undefined) => Promise<void>;

export function unpaced(): Pace {
  return () => Promise.resolve();
}

export function ratePace(clicksPerSecond: number, stop: AbortSignal): Pace {
  let startMs: number | undefined;
  let sent = 0;
  return async () => {
    startMs ??= performance.now();
    await sleepUntil(startMs + (sent++ / clicksPerSecond) * 1_000, stop);
  };
}

/** Clicks that are out of order in the log do not wait, because they are overdue when they are read. */
export function replayPace(speed: number, stop: AbortSignal): Pace {
  let startMs = 0;
  let firstMs: number | undefined;
  return async timeMs => {
    if (timeMs === undefined) return;
    if (firstMs === undefined) {
      firstMs = timeMs;
      startMs = performance.now();
    }
    await sleepUntil(startMs + (timeMs - firstMs) / speed, stop);
  };
}

/** A timer waits at most this long (2^31 ms), so a gap of weeks in a log is waited for in steps. */
const maxSleepMs = 3_600_000;

async function sleepUntil(dueMs: number, stop: AbortSignal): Promise<void> {
  for (;;) {
    const restMs = dueMs - performance.now();
    // A timer is late by about a ms. Clicks that are nearly due are sent at once, and the next ones make up for it.
    if (restMs < 2 || stop.aborted) return;
    await pause(Math.min(restMs, maxSleepMs), stop);
  }
}
