/**
 * Counts what was let through, by key: a hash table from 96 bits to one word, in one typed array, with open addressing
 * and linear probing. A key costs no object, and 23 to 46 bytes, as in id-set.ts.
 *
 * The word of a key is not 0 once it was used, which is how a free slot is told from a used one.
 */
import { grownFrom } from './growth.ts';

export class CapTable {
  /** Three words of the key, and its own word. */
  #words: Int32Array;
  #slotsPerHash: number;
  #size = 0;

  constructor(capacity = 256) {
    this.#words = new Int32Array(capacity * 4);
    this.#slotsPerHash = capacity / 2 ** 32;
  }

  get capacity(): number {
    return this.#words.length / 4;
  }

  get size(): number {
    return this.#size;
  }

  get byteLength(): number {
    return this.#words.byteLength;
  }

  /**
   * Returns the place of the word of the key (a, b, c). A new key has 0 there, and the caller must at once `set` another
   * word. The place is good until the next call. `a` must be a hash, because it decides the slot.
   */
  placeOf(a: number, b: number, c: number): number {
    if (this.#size >= this.capacity * mostUse) this.#grow();
    const words = this.#words;
    for (let at = firstAt(a, this.#slotsPerHash); ; at = at + 4 === words.length ? 0 : at + 4) {
      if (words[at + 3] === 0) {
        words[at] = a;
        words[at + 1] = b;
        words[at + 2] = c;
        this.#size++;
        return at + 3;
      }
      if (words[at] === a && words[at + 1] === b && words[at + 2] === c) return at + 3;
    }
  }

  get(place: number): number {
    return this.#words[place]!;
  }

  /** `word` is not 0. */
  set(place: number, word: number): void {
    this.#words[place] = word;
  }

  clear(): void {
    this.#words.fill(0);
    this.#size = 0;
  }

  /** Reads the memory that `placeOf` would read first for each key. The result has no meaning (click-group.ts). */
  prefetch(keys: Int32Array, count: number): number {
    const words = this.#words;
    const slotsPerHash = this.#slotsPerHash;
    let sum = 0;
    for (let i = 0; i < count; i++) sum ^= words[firstAt(keys[i * 3]!, slotsPerHash)]!;
    return sum;
  }

  #grow(): void {
    const old = this.#words;
    const capacity = grownFrom(this.capacity, largeFrom);
    const words = new Int32Array(capacity * 4);
    const slotsPerHash = capacity / 2 ** 32;
    for (let from = 0; from < old.length; from += 4) {
      if (old[from + 3] === 0) continue;
      let at = firstAt(old[from]!, slotsPerHash);
      while (words[at + 3] !== 0) at = at + 4 === words.length ? 0 : at + 4;
      words[at] = old[from]!;
      words[at + 1] = old[from + 1]!;
      words[at + 2] = old[from + 2]!;
      words[at + 3] = old[from + 3]!;
    }
    this.#words = words;
    this.#slotsPerHash = slotsPerHash;
  }
}

const mostUse = 0.7;
/** A number of slots (growth.ts). */
const largeFrom = 1 << 20;

/** The position of the slot in which a key with this first word is searched first. */
function firstAt(word: number, slotsPerHash: number): number {
  return ((word >>> 0) * slotsPerHash) << 2;
}
