/**
 * Pure: decides whether the client of an export reads fast enough. A second counts only if bytes were ready at its end.
 * Otherwise a client would be blamed for a slow database.
 */
export interface Pace {
  /** Must be called once a second with the bytes read since the beginning, and whether more are ready. */
  tick(taken: number, isMoreReady: boolean): void;
  /** Whether the client has read less than it must over the last `seconds`. */
  isSlowOver(seconds: number): boolean;
}

/** A client that is slow for this long is cut off. It is long because a socket's buffer empties a megabyte at a time. */
export const patienceSeconds = 30;
/** The same limit while another client waits for a place. */
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
