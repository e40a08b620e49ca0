/**
 * A set of 128-bit ids in one typed array: open addressing, linear probing, at most 7 of 10 slots used. An id costs 23
 * to 46 bytes and no object. It lives and dies with its window, so nothing is ever removed from it but all at once.
 */
export class IdSet {
  #words: Int32Array;
  #mask: number;
  #size = 0;
  readonly #expectedCapacity: number;

  /** `expectedCapacity`, a power of two: what a set that outgrows its beginnings grows to at once. */
  constructor(expectedCapacity = 0, capacity = 1024) {
    this.#expectedCapacity = expectedCapacity;
    this.#words = new Int32Array(capacity * 4);
    this.#mask = capacity - 1;
  }

  get capacity(): number {
    return this.#mask + 1;
  }

  get size(): number {
    return this.#size;
  }

  get byteLength(): number {
    return this.#words.byteLength;
  }

  /** Adds the four words of `ids` from `from` on; false if they are there already. */
  add(ids: Int32Array, from = 0): boolean {
    if (this.#size >= (this.#mask + 1) * mostUse) this.#grow();
    const a = ids[from]!;
    const b = ids[from + 1]!;
    const c = ids[from + 2]!;
    // All zero marks a free slot. The one id that hashes to it is kept as its neighbour: one more chance in 2^128.
    const d = (a | b | c | ids[from + 3]!) === 0 ? 1 : ids[from + 3]!;
    const words = this.#words;
    let slot = a & this.#mask;
    for (;;) {
      const at = slot * 4;
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
      slot = (slot + 1) & this.#mask;
    }
  }

  clear(): void {
    this.#words.fill(0);
    this.#size = 0;
  }

  /** Reads what `add` would read first for each of the ids; the result is of no use (click-group.ts). */
  touch(ids: Int32Array, count: number): number {
    const words = this.#words;
    const mask = this.#mask;
    let sum = 0;
    for (let i = 0; i < count; i++) sum ^= words[(ids[i * 4]! & mask) * 4]!;
    return sum;
  }

  /** The ids are all different and most of the slots free, so this moves them without comparing. */
  #grow(): void {
    const old = this.#words;
    const doubled = this.capacity * 2;
    const capacity = doubled > expectedFrom ? Math.max(doubled, this.#expectedCapacity) : doubled;
    const words = new Int32Array(capacity * 4);
    const mask = capacity - 1;
    for (let from = 0; from < old.length; from += 4) {
      if (isFree(old, from)) continue;
      let at = (old[from]! & mask) * 4;
      while (!isFree(words, at)) at = (at + 4) & (words.length - 1);
      words[at] = old[from]!;
      words[at + 1] = old[from + 1]!;
      words[at + 2] = old[from + 2]!;
      words[at + 3] = old[from + 3]!;
    }
    this.#words = words;
    this.#mask = mask;
  }
}

/** A window with a few late clicks alone never gets here. */
const expectedFrom = 8192;

function isFree(words: Int32Array, at: number): boolean {
  return (words[at]! | words[at + 1]! | words[at + 2]! | words[at + 3]!) === 0;
}

/** Slots of a set that holds so many ids: a power of two. */
export function capacityFor(ids: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, ids / mostUse)));
}

const mostUse = 0.7;
