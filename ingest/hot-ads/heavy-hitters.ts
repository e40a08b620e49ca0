/**
 * Finds the most frequent of very many keys in bounded memory, with Space-Saving (Metwally, Agrawal, El Abbadi:
 * "Efficient Computation of Frequent and Top-k Elements in Data Streams", ICDT 2005).
 *
 * Of n keys seen with m counters, a key that occurred more than n / m times has a counter, and `count - error` of a
 * counter never exceeds how often its key occurred.
 *
 * Each counter also shows from how many sides its key came since it took over the counter: `count - error` for each
 * group of sources. A source is always in the same group, so one source alone fills only one group.
 */
export interface Counter {
  count: number;
  /** The value of the counter when the key took it over. */
  error: number;
  /** Their sum is `count - error`. */
  readonly bySource: Uint32Array;
}

/** More than enough to distinguish a few sources from many. */
export const sourceGroups = 32;

export class HeavyHitters {
  readonly counters = new Map<string, Counter>();
  /** The number of keys seen. */
  total = 0;
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  /** `source` is at least 0 and below `sourceGroups`. */
  see(key: string, source: number): void {
    this.total++;
    const counter = this.counters.get(key) ?? this.#counterFor(key);
    counter.count++;
    counter.bySource[source]!++;
  }

  #counterFor(key: string): Counter {
    const counter =
      this.counters.size < this.#most
        ? { count: 0, error: 0, bySource: new Uint32Array(sourceGroups) }
        : this.#takeFromLeast();
    this.counters.set(key, counter);
    return counter;
  }

  /**
   * The new key replaces the least frequent one and takes over its count. So its count may be too high, but never too
   * low.
   */
  #takeFromLeast(): Counter {
    let least = '';
    let count = Number.POSITIVE_INFINITY;
    for (const [candidate, counter] of this.counters) {
      if (counter.count >= count) continue;
      least = candidate;
      count = counter.count;
    }
    const bySource = this.counters.get(least)?.bySource.fill(0) ?? new Uint32Array(sourceGroups);
    this.counters.delete(least);
    return { count, error: count, bySource };
  }
}
