/**
 * Waiting in a test until something holds. The deadline is there for what never comes: how long a busy machine takes says
 * nothing, so no test gives a shorter one.
 */
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Polls until `probe` returns something true. `what` as a function may say what was seen last. Null counts as "not yet"
 * too: of `rows && isEqual(rows)` it is what comes of rows that are not there.
 */
export async function eventually<P>(
  what: string | (() => string),
  probe: () => P,
  timeoutMs = 240_000,
): Promise<Exclude<Awaited<P>, undefined | null | false | number | ''>> {
  const startedAt = Date.now();
  for (;;) {
    const value = await probe();
    if (value) return value as never;
    if (Date.now() > startedAt + timeoutMs) {
      throw new Error(`not within ${timeoutMs} ms: ${typeof what === 'string' ? what : what()}`);
    }
    await sleep(pollPauseMs(startedAt));
  }
}

/**
 * The longer it has been waited, the less often it is asked: what is asked many times a second keeps busy what it waits
 * for. It is known at most a tenth later.
 */
export function pollPauseMs(startedAt: number): number {
  return Math.min(1_000, Math.max(25, (Date.now() - startedAt) / 10));
}
