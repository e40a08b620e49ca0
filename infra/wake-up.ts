/**
 * For a loop that looks whether there is something to do, and may be told so: it pauses, and whoever knows of something
 * ends the pause. A call that comes while the loop is busy is not lost: what it told of may have come too late for the
 * look that is under way, so the next pause ends at once.
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
