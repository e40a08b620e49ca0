/**
 * Repeats work with pauses until it is disposed of, which waits for the work that is under way. The signal ends a pause at
 * once, and is there for work that can end early.
 */
import { pause } from './pause.ts';

/** `turn` must not reject, and returns how long to pause after it, in ms. */
export function repeatedly(
  turn: (closing: AbortSignal) => Promise<number>,
  closing: AbortController = new AbortController(),
): AsyncDisposable {
  const repeat = async () => {
    while (!closing.signal.aborted) await pause(await turn(closing.signal), closing.signal);
  };
  const repeating = repeat();
  return {
    async [Symbol.asyncDispose]() {
      closing.abort();
      await repeating;
    },
  };
}
