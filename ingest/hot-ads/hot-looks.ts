/** Finds, as a pure function, the ads that were hot at every look for long enough. There is a look every `slotMs`. */
export class HotLooks {
  readonly #needed: number;
  #looks: ReadonlyMap<string, number> = new Map();

  constructor({ minutes, slotMs }: { readonly minutes: number; readonly slotMs: number }) {
    // There are this many minutes between the first and the last of these looks.
    this.#needed = Math.ceil((minutes * 60_000) / slotMs) + 1;
  }

  /** `hot` are the ads that are hot now. All others begin again. Returns those that have been hot for long enough. */
  take(hot: readonly string[]): ReadonlySet<string> {
    this.#looks = new Map(hot.map(adId => [adId, Math.min(this.#needed, (this.#looks.get(adId) ?? 0) + 1)]));
    return new Set([...this.#looks].filter(([, looks]) => looks >= this.#needed).map(([adId]) => adId));
  }
}
