/**
 * Pauses a loop that looks from time to time whether there is something to do, until somebody who knows of something
 * ends the pause. A call is not lost while the loop is busy: its news may have come too late for the current look, so
 * the next pause ends at once.
 */
import { pause } from './pause.ts';

export interface WakeUp {
  /** Ends the pause, or the next one. */
  call(): void;
  /** True where it was called, and so ended early. */
  pause(ms: number, signal: AbortSignal): Promise<boolean>;
}

export function createWakeUp(): WakeUp {
  let isCalled = false;
  let current: AbortController | undefined;
  return {
    call() {
      isCalled = true;
      current?.abort();
    },
    async pause(ms, signal) {
      if (!isCalled) {
        current = new AbortController();
        await pause(ms, AbortSignal.any([signal, current.signal]));
        current = undefined;
      }
      const wasCalled = isCalled;
      isCalled = false;
      return wasCalled;
    },
  };
}
