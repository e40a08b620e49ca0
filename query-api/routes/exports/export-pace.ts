/**
 * Pure: whether the client of an export takes it as fast as it must. Only seconds count in which there was something to
 * take at their end: a database that is slow, or a client that is faster than it, is nobody's fault.
 */
export interface Pace {
  /** Once a second: bytes that were taken since the beginning, and whether more are ready. */
  tick(taken: number, isMoreReady: boolean): void;
  /** Less than it must, over the last so many seconds. */
  isSlowOver(seconds: number): boolean;
}

/** Who takes so little for so long is cut off. Long: what a socket has room for frees itself a megabyte at a time. */
export const patienceSeconds = 30;
/** ... where another waits for the place. */
export const patienceWithOthersSeconds = 5;

export function createPace(minBytesPerSecond: number): Pace {
  let bytes: readonly number[] = [];
  let before = 0;
  return {
    tick(taken, isMoreReady) {
      bytes = isMoreReady ? [...bytes.slice(1 - patienceSeconds), taken - before] : [];
      before = taken;
    },
    isSlowOver(seconds) {
      const last = bytes.slice(-seconds);
      return last.length >= seconds && last.reduce((sum, each) => sum + each, 0) < seconds * minBytesPerSecond;
    },
  };
}
