/**
 * Implements a set of 128-bit ids as slots of four words in one typed array, with open addressing and linear probing. A
 * set lives as long as its window: ids are never removed one by one, only all at once.
 *
 * A used slot has a word that is not 0. At most 7 of 10 slots are used, so an id costs no object and 23 to 46 bytes, and
 * at most 29 bytes from a million ids on, where it matters.
 */
import { grownTowards } from './growth.ts';
import { firstSlot } from './slots.ts';

export class IdSet {
  #words: Int32Array;
  #slotsPerHash: number;
  #size = 0;
  readonly #expectedCapacity: number;

  /** `expectedCapacity` is the capacity to which a set grows at once when it outgrows its first ones. */
  constructor(expectedCapacity = 0, capacity = 1024) {
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

  /** Adds the four words of `ids` from `from` on. Returns false if they are in the set already. */
  add(ids: Int32Array, from = 0): boolean {
    if (this.#size >= this.capacity * mostUse) this.#grow();
    const a = ids[from]!;
    const b = ids[from + 1]!;
    const c = ids[from + 2]!;
    // Four zero words mark a free slot. The one id that hashes to them is stored as its neighbour, which adds one
    // chance in 2^128.
    const d = (a | b | c | ids[from + 3]!) === 0 ? 1 : ids[from + 3]!;
    const words = this.#words;
    for (let at = firstAt(a, this.#slotsPerHash); ; at = at + 4 === words.length ? 0 : at + 4) {
      const x = words[at]!;
      if (x === a && words[at + 1] === b && words[at + 2] === c && words[at + 3] === d) return false;
      if (x === 0 && isFree(words, at)) {
        words[at] = a;
        words[at + 1] = b;
        words[at + 2] = c;
        words[at + 3] = d;
        this.#size++;
        return true;
      }
    }
  }

  clear(): void {
    this.#words.fill(0);
    this.#size = 0;
  }

  /** Reads the memory that `add` would read first for each id. The result has no meaning (click-group.ts). */
  prefetch(ids: Int32Array, count: number): number {
    const words = this.#words;
    const slotsPerHash = this.#slotsPerHash;
    let sum = 0;
    for (let i = 0; i < count; i++) sum ^= words[firstAt(ids[i * 4]!, slotsPerHash)]!;
    return sum;
  }

  #grow(): void {
    this.#words = grown(this.#words, this.#expectedCapacity);
    this.#slotsPerHash = this.capacity / 2 ** 32;
  }
}

/** The number of slots for this many ids, and a tenth more. */
export function capacityFor(ids: number): number {
  return Math.ceil((1.1 * ids) / mostUse);
}

/** The largest part of the slots that is used. */
const mostUse = 0.7;
/** A number of slots. A million ids fill more than this (growth.ts). */
const largeFrom = 1 << 20;

/** The position of the slot in which an id with this first word is searched first. */
function firstAt(word: number, slotsPerHash: number): number {
  return firstSlot(word, slotsPerHash) << 2;
}

function isFree(words: Int32Array, at: number): boolean {
  return (words[at]! | words[at + 1]! | words[at + 2]! | words[at + 3]!) === 0;
}

/**
 * Returns more slots with the same ids, at once `expectedCapacity` of them where that is more (growth.ts). The
 * ids are all different and most slots are free, so this moves them without comparing.
 */
function grown(old: Int32Array, expectedCapacity: number): Int32Array {
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
