/**
 * Slots of four words in one typed array, for hash tables with open addressing and linear probing. A used slot has a
 * word that is not 0. At most 7 of 10 slots are used, so a key costs no object and 23 to 46 bytes, and at most 29 bytes
 * from a million keys on, where it matters.
 *
 * The slot in which a key is searched first is its first word, as a fraction of 2^32, times the number of slots (Lemire,
 * "Fast random integer generation in an interval", 2019). So the number of slots may be any number. This requires that
 * the first words are hashes.
 */
import { grownTowards } from './growth.ts';

/** The largest part of the slots that is used. */
export const mostUse = 0.7;

/** The position of the slot in which a key with this first word is searched first. */
export function firstAt(word: number, slotsPerHash: number): number {
  return ((word >>> 0) * slotsPerHash) << 2;
}

export function isFree(words: Int32Array, at: number): boolean {
  return (words[at]! | words[at + 1]! | words[at + 2]! | words[at + 3]!) === 0;
}

/**
 * Returns more slots with the same keys, at once `expectedCapacity` of them where that is more (growth.ts). The
 * keys are all different and most slots are free, so this moves them without comparing.
 */
export function grown(old: Int32Array, expectedCapacity: number): Int32Array {
  const capacity = grownTowards(expectedCapacity, old.length / 4, largeFrom);
  const words = new Int32Array(capacity * 4);
  const slotsPerHash = capacity / 2 ** 32;
  for (let from = 0; from < old.length; from += 4) {
    if (isFree(old, from)) continue;
    let at = firstAt(old[from]!, slotsPerHash);
    while (!isFree(words, at)) at = at + 4 === words.length ? 0 : at + 4;
    words[at] = old[from]!;
    words[at + 1] = old[from + 1]!;
    words[at + 2] = old[from + 2]!;
    words[at + 3] = old[from + 3]!;
  }
  return words;
}

/** The number of slots for this many keys, and a tenth more. */
export function capacityFor(keys: number): number {
  return Math.ceil((1.1 * keys) / mostUse);
}

/** A number of slots. A million keys fill more than this (growth.ts). */
const largeFrom = 1 << 20;
