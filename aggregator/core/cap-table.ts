/**
 * Counts what was let through, by cell and 96-bit key: a hash table to one word, in slots (slots.ts). The word of a key
 * is not 0 once it was used, which is how a free slot is told from a used one.
 */
import { firstAt, grown, mostUse } from './slots.ts';

export class CapTable {
  /** Three words of the key, and its own word. */
  #words: Int32Array;
  #slotsPerHash: number;
  #size = 0;
  readonly #expectedCapacity: number;

  /** `expectedCapacity` is the capacity to which a table grows at once when it outgrows its first ones. */
  constructor(expectedCapacity = 0, capacity = 256) {
    this.#expectedCapacity = expectedCapacity;
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
   * Returns the place of the word of the key `keys[at, at + 3)` in a cell. A new key has 0 there, and the caller must at
   * once `set` another word. The place is good until the next call. The first word of the key must be a hash, because it
   * decides the slot.
   */
  placeOf(cell: number, keys: Int32Array, keyAt: number): number {
    if (this.#size >= this.capacity * mostUse) this.#grow();
    const a = keys[keyAt]!;
    const b = keys[keyAt + 1]!;
    const c = keys[keyAt + 2]! ^ mixed(cell);
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
    this.#words = grown(this.#words, this.#expectedCapacity);
    this.#slotsPerHash = this.capacity / 2 ** 32;
  }
}

/** Two cells never have the same result. */
function mixed(cell: number): number {
  return Math.imul(cell, 0x9e3779b1);
}
