/**
 * Remembers when the members of a group in this process last met a passing problem: a broker, a leader or a coordinator
 * that is away, or a group that is being joined. stall-watch.ts, which looks for readers that hang, takes it into
 * account.
 */

/** By group. A process reads in a few groups. */
const lastTroubleMs = new Map<string, number>();

export function noteTrouble(group: string): void {
  lastTroubleMs.set(group, performance.now());
}

/** In the time of `performance.now()`. 0 means that there was none. */
export function lastTroubleOf(group: string): number {
  return lastTroubleMs.get(group) ?? 0;
}
