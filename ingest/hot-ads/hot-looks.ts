/** Finds, as a pure function, the ads that were hot at every look for long enough. There is a look every `slotMs`. */
export class HotLooks {
  readonly #needed: number;
  #looks: ReadonlyMap<string, number> = new Map();

  constructor({ minutes, slotMs }: { readonly minutes: number; readonly slotMs: number }) {
    // From the first look to the last of them are so many minutes.
    this.#needed = Math.ceil((minutes * 60_000) / slotMs) + 1;
  }

  /** Those that are hot now; all others begin anew. Returns those that have been for long enough. */
  take(hot: readonly string[]): ReadonlySet<string> {
    this.#looks = new Map(hot.map(adId => [adId, Math.min(this.#needed, (this.#looks.get(adId) ?? 0) + 1)]));
    return new Set([...this.#looks].filter(([, looks]) => looks >= this.#needed).map(([adId]) => adId));
  }
}
