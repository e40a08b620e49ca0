/**
 * Implements a set of 128-bit ids in slots (slots.ts). A set lives as long as its window: ids are never removed one by
 * one, only all at once.
 */
import { firstAt, grown, isFree, mostUse } from './slots.ts';

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
