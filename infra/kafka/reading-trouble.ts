/**
 * When the members of a group in this process have last met something that passes by itself: a broker, a leader or a
 * coordinator away, a group that is joined. Who watches for readers that hang takes it into account (stall-watch.ts).
 */

/** By group, of which a process reads a few. */
const lastTroubleMs = new Map<string, number>();

export function noteTrouble(group: string): void {
  lastTroubleMs.set(group, performance.now());
}

/** In the time of `performance.now()`; 0 where there was none. */
export function lastTroubleOf(group: string): number {
  return lastTroubleMs.get(group) ?? 0;
}
