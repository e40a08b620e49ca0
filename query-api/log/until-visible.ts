/** Waits until ClickHouse shows what was written into the log. A running sink copies it within a moment. */
import { Retryable } from '../../infra/errors.ts';
import { pause } from '../../infra/pause.ts';

export interface Patience {
  readonly withinMs: number;
  readonly pollMs?: number;
}

/** @throws Retryable after `withinMs`, or when ClickHouse does not answer */
export async function untilVisible(
  what: string,
  { withinMs, pollMs = 50 }: Patience,
  isVisible: () => Promise<boolean>,
): Promise<void> {
  const until = performance.now() + withinMs;
  while (!(await isVisible())) {
    if (performance.now() >= until)
      throw new Retryable(`${what} is in the log, but not in ClickHouse after ${withinMs} ms: is a sink running?`);
    await pause(pollMs);
  }
}
