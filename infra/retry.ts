/**
 * Repeats work until another system is available: a process that starts while Kafka or ClickHouse is away says so and
 * waits.
 */

import { messageOf, Retryable } from './errors.ts';
import type { Logger } from './log.ts';
import { pause } from './pause.ts';

const firstPauseMs = 200;
const longestPauseMs = 5_000;

/**
 * Repeats `work` while it fails with Retryable, with growing pauses, until `stop` fires. @throws any other error of
 * `work`, and the last Retryable once `stop` has fired
 */
export async function retrying<T>(doing: string, log: Logger, stop: AbortSignal, work: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Retryable) || stop.aborted) throw error;
      const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** attempt);
      log.warn({ doing, why: messageOf(error), pauseMs }, 'not yet, to be tried again');
      await pause(pauseMs, stop);
    }
  }
}
