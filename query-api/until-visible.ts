/** Waits until ClickHouse shows what was written into the log: a sink brings it within a moment, unless it is away. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Retryable } from '../infra/errors.ts';

/** @throws Retryable after `withinMs`, or where ClickHouse does not answer */
export async function untilVisible(what: string, withinMs: number, isVisible: () => Promise<boolean>): Promise<void> {
  const until = performance.now() + withinMs;
  while (!(await isVisible())) {
    if (performance.now() >= until)
      throw new Retryable(`${what} is in the log, and not in ClickHouse after ${withinMs} ms: is a sink running?`);
    await sleep(pollMs);
  }
}

const pollMs = 50;
