/**
 * Which ads this process sees most of, over the last minute. It looks at one click in `sampleEvery`, chosen by chance:
 * whether an ad is hot need not be exact, and looking at each would cost as much as routing it. What it says of an ad is
 * never more than it saw of it (heavy-hitters.ts). It has no clock: `turn` is called when a slot of the minute is over.
 */
import { HeavyHitters } from './heavy-hitters.ts';

export interface AdReading {
  readonly adId: string;
  /** Of all clicks, 0 to 1. */
  readonly share: number;
  readonly clicksPerSecond: number;
}

export interface DetectorOptions {
  /** The minute slides by this. */
  readonly slotMs: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly sampleEvery?: number;
}

const slots = 6;
/** An ad with a share above 1/64 is found. */
const counters = 64;

export class HotAdDetector {
  readonly #options: Required<DetectorOptions>;
  #slots: HeavyHitters[] = [new HeavyHitters(counters)];
  #skip = 0;

  constructor(options: DetectorOptions) {
    this.#options = { sampleEvery: 16, ...options };
  }

  see(adId: string): void {
    if (this.#skip-- > 0) return;
    const { sampleEvery, random } = this.#options;
    // Anything from 0 to twice the mean, or batches of a certain size would always show the same of their clicks.
    this.#skip = Math.floor(random() * (2 * sampleEvery - 1));
    this.#slots[0]?.see(adId);
  }

  /** A slot is over: readings of the last minute, the most frequent first. */
  turn(): AdReading[] {
    const total = this.#slots.reduce((sum, slot) => sum + slot.total, 0);
    const seconds = (this.#slots.length * this.#options.slotMs) / 1_000;
    const seen = new Map<string, number>();
    for (const slot of this.#slots) {
      for (const [adId, { count, error }] of slot.counters) seen.set(adId, (seen.get(adId) ?? 0) + count - error);
    }
    this.#slots = [new HeavyHitters(counters), ...this.#slots.slice(0, slots - 1)];
    return [...seen]
      .filter(([, count]) => count > 0)
      .map(([adId, count]) => {
        return { adId, share: count / total, clicksPerSecond: (count * this.#options.sampleEvery) / seconds };
      })
      .sort((a, b) => b.share - a.share);
  }
}
