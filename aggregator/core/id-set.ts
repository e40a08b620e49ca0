/**
 * A set of 128-bit ids in one typed array: open addressing, linear probing, at most 7 of 10 slots used. An id costs no
 * object and 23 to 46 bytes; from a million on, where that counts, at most 29. A set lives and dies with its window:
 * nothing is ever removed but all at once.
 *
 * An id's slot is its first word as a fraction of 2^32, times the number of slots (Lemire, "Fast random integer
 * generation in an interval", 2019), so that their number may be any. The ids have to be hashes for that.
 */
import { grownFrom } from './growth.ts';

export class IdSet {
  #words: Int32Array;
  #slotsPerHash: number;
  #size = 0;
  readonly #expectedCapacity: number;

  /** `expectedCapacity`: what a set that outgrows its beginnings grows to at once. */
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

  /** Adds the four words of `ids` from `from` on; false if they are there already. */
  add(ids: Int32Array, from = 0): boolean {
    if (this.#size >= this.capacity * mostUse) this.#grow();
    const a = ids[from]!;
    const b = ids[from + 1]!;
    const c = ids[from + 2]!;
    // All zero marks a free slot. The one id that hashes to it is kept as its neighbour: one more chance in 2^128.
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

  /** Reads what `add` would read first for each of the ids; the result is of no use (click-group.ts). */
  prefetch(ids: Int32Array, count: number): number {
    const words = this.#words;
    const slotsPerHash = this.#slotsPerHash;
    let sum = 0;
    for (let i = 0; i < count; i++) sum ^= words[firstAt(ids[i * 4]!, slotsPerHash)]!;
    return sum;
  }

  /** The ids are all different and most of the slots free, so this moves them without comparing. */
  #grow(): void {
    const old = this.#words;
    const more = grownFrom(this.capacity, largeFrom);
    const capacity = more > expectedFrom ? Math.max(more, this.#expectedCapacity) : more;
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
    this.#words = words;
    this.#slotsPerHash = slotsPerHash;
  }
}

/** A window with a few late clicks alone never gets here. */
const expectedFrom = 8192;
/** Slots; a million ids fill more (growth.ts). */
const largeFrom = 1 << 20;

/** Where the words of the slot lie that an id with this first word is looked for in first. */
function firstAt(word: number, slotsPerHash: number): number {
  return ((word >>> 0) * slotsPerHash) << 2;
}

function isFree(words: Int32Array, at: number): boolean {
  return (words[at]! | words[at + 1]! | words[at + 2]! | words[at + 3]!) === 0;
}

/** Slots of a set that holds so many ids, and a tenth more. */
export function capacityFor(ids: number): number {
  return Math.ceil((1.1 * ids) / mostUse);
}

const mostUse = 0.7;
