/** Waits for a process's `/readyz`, and reports what it waits for meanwhile. */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../errors.ts';
import { busyness } from './start-wait.ts';

const pauseMs = 50;
const reportEveryMs = 5_000;

/** `url` has no path. Rejects when `signal` fires. */
export async function untilServiceReady(
  name: string,
  url: string,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  for (let nextReport = performance.now() + reportEveryMs; ; await sleep(pauseMs, undefined, { signal })) {
    const missing = await missingFrom(url, signal);
    if (missing === undefined) return;
    signal.throwIfAborted();
    if (performance.now() < nextReport) continue;
    nextReport += reportEveryMs;
    say(`still waiting for ${name}${busyness()}: ${missing}`);
  }
}

/** Returns undefined when the process is ready, otherwise what it says is missing. */
async function missingFrom(url: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const answer = await fetch(`${url}/readyz`, { signal: AbortSignal.any([signal, AbortSignal.timeout(5_000)]) });
    const body = await answer.text();
    return answer.ok ? undefined : `${answer.status} ${body.slice(0, 200)}`;
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    return messageOf(cause);
  }
}
