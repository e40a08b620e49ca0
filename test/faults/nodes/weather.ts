/**
 * What is under way at each moment, so that an answer can be judged by it: the phase of the storm, whether a read may be
 * refused (503 with Retry-After), and whether it must be, as a shard has no node at all.
 */
export interface Weather {
  readonly phase: string;
  /** All that happens until then is counted under this name. */
  enter(phase: string): void;
  /** Reads may be refused until it is disposed of. */
  mayRefuse(): Disposable;
  /** Reads of all ads must be refused until it is disposed of. */
  mustRefuse(): Disposable;
  /** Whether a read that was under way from then until now may have been refused. */
  mightHaveBeenRefused(from: number): boolean;
  /** Whether a read that was under way from then until now has met nothing but a shard without nodes. */
  mustHaveBeenRefused(from: number): boolean;
}

export function createWeather(now: () => number = Date.now): Weather {
  let phase = 'calm';
  const allowed: { readonly from: number; until: number }[] = [];
  const dark = new Set<number>();
  return {
    get phase() {
      return phase;
    },
    enter(next) {
      phase = next;
    },
    mayRefuse() {
      const span = { from: now(), until: Number.POSITIVE_INFINITY };
      allowed.push(span);
      return {
        [Symbol.dispose]() {
          span.until = now();
        },
      };
    },
    mustRefuse() {
      const since = now();
      dark.add(since);
      return { [Symbol.dispose]: () => void dark.delete(since) };
    },
    mightHaveBeenRefused: from => allowed.some(span => span.until >= from),
    mustHaveBeenRefused: from => [...dark].some(since => since <= from),
  };
}
