/**
 * The most frequent of very many keys, in bounded memory: Space-Saving (Metwally, Agrawal, El Abbadi: "Efficient
 * Computation of Frequent and Top-k Elements in Data Streams", ICDT 2005). Of n keys seen with m counters, a key that
 * came more than n / m times has a counter, and `count - error` of a counter never exceeds how often its key came.
 */
export interface Counter {
  count: number;
  /** What the counter already stood at when the key took it over. */
  error: number;
}

export class HeavyHitters {
  readonly counters = new Map<string, Counter>();
  /** Keys seen. */
  total = 0;
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  see(key: string): void {
    this.total++;
    const known = this.counters.get(key);
    if (known) known.count++;
    else if (this.counters.size < this.#most) this.counters.set(key, { count: 1, error: 0 });
    else this.#takeOver(key);
  }

  /** The new key takes the place of the least frequent, and its count: so it may be said to be too high, never too low. */
  #takeOver(key: string): void {
    let least = '';
    let count = Number.POSITIVE_INFINITY;
    for (const [candidate, counter] of this.counters) {
      if (counter.count >= count) continue;
      least = candidate;
      count = counter.count;
    }
    this.counters.delete(least);
    this.counters.set(key, { count: count + 1, error: count });
  }
}
