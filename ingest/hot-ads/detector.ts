/**
 * Finds the ads of which this process saw most clicks in the last minute, and from how many clients they came.
 *
 * It looks at one click in `sampleEvery`, chosen at random: the result need not be exact, and looking at every click
 * would cost as much as routing it. It never reports more clicks of an ad than it saw (heavy-hitters.ts), and rather
 * too few clients than too many. It has no clock: `turn` is called when a slot of the minute is over.
 */
import { partitionOf } from '../click.ts';
import { HeavyHitters, sourceGroups } from './heavy-hitters.ts';

export interface AdReading {
  readonly adId: string;
  /** Share of all clicks, from 0 to 1. */
  readonly share: number;
  readonly clicksPerSecond: number;
  /**
   * The shares of the ad's busiest groups of clients in its clicks, from 0 to 1, in falling order. A client is in one
   * group.
   */
  readonly busiest: readonly number[];
}

export interface DetectorOptions {
  /** The minute moves on in steps of this length. */
  readonly slotMs: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

const sampleEvery = 16;
const slots = 6;
/** An ad with a share above 1/64 is found. */
const counters = 64;

export class HotAdDetector {
  readonly #options: DetectorOptions;
  #slots: HeavyHitters[] = [new HeavyHitters(counters)];
  #skip = 0;
  /** One request has many clicks. */
  #lastClient = '';
  #lastGroup = groupOf('');

  constructor(options: DetectorOptions) {
    this.#options = options;
  }

  /** `client` has posted the click. */
  see(adId: string, client: string): void {
    if (this.#skip-- > 0) return;
    // Any number from 0 to twice the mean. Otherwise batches of a certain size would always show the same of their
    // clicks.
    this.#skip = Math.floor(this.#options.random() * (2 * sampleEvery - 1));
    if (client !== this.#lastClient) {
      this.#lastClient = client;
      this.#lastGroup = groupOf(client);
    }
    this.#slots[0]?.see(adId, this.#lastGroup);
  }

  /** Is called when a slot is over. Returns the readings of the last minute, with the most frequent ad first. */
  turn(): AdReading[] {
    const total = this.#slots.reduce((sum, slot) => sum + slot.total, 0);
    const seconds = (this.#slots.length * this.#options.slotMs) / 1_000;
    const seen = new Map<string, Uint32Array>();
    for (const slot of this.#slots) {
      for (const [adId, { bySource }] of slot.counters) seen.set(adId, addedTo(seen.get(adId), bySource));
    }
    this.#slots = [new HeavyHitters(counters), ...this.#slots.slice(0, slots - 1)];
    return [...seen]
      .map(([adId, bySource]) => ({ adId, bySource, count: bySource.reduce((sum, n) => sum + n, 0) }))
      .filter(({ count }) => count > 0)
      .map(({ adId, bySource, count }) => ({
        adId,
        share: count / total,
        clicksPerSecond: (count * sampleEvery) / seconds,
        busiest: [...bySource.toSorted((a, b) => b - a)].map(n => n / count),
      }))
      .sort((a, b) => b.share - a.share);
  }
}

function groupOf(client: string): number {
  return partitionOf(client, sourceGroups);
}

function addedTo(sum: Uint32Array | undefined, bySource: Uint32Array): Uint32Array {
  return sum === undefined ? bySource.slice() : sum.map((n, i) => n + bySource[i]!);
}
