/**
 * Counts what was let through, by cell and 96-bit key: a hash table to one word.
 *
 * The keys and their words lie one after another, in the order in which they came. Beside them is an index of one word
 * for each slot, with open addressing and linear probing, so that what is read and written at random places is small:
 * most keys of a window are new, and a new key is found to be new in the index alone. A word of the index has the number
 * of the entry in its lower bits, and as many bits of the key as there is room for in its upper ones. Entries are
 * compared only where these bits are equal. At most half of the slots are used, so a key costs 24 to 48 bytes, and
 * at most 30 from half a million keys on.
 */
import { grownTowards } from './growth.ts';
import { firstSlot } from './slots.ts';

export class CapTable {
  /** Three words of the key, and its own word. Entry 0 is not used, because a 0 in the index is a free slot. */
  #entries: Int32Array;
  /** Twice as many slots as there may be entries. */
  #index: Int32Array;
  #slotsPerHash: number;
  /** The bits of a word of the index that are an entry's number; the others are of the key. */
  #numberMask: number;
  #size = 0;
  readonly #expectedKeys: number;

  /** `expectedKeys` is the number of keys for which a table grows at once when it outgrows its first sizes. */
  constructor(expectedKeys = 0, capacity = 256) {
    this.#expectedKeys = expectedKeys;
    this.#entries = new Int32Array(capacity * 4);
    this.#index = new Int32Array(capacity * 2);
    this.#slotsPerHash = this.#index.length / 2 ** 32;
    this.#numberMask = maskFor(capacity);
  }

  /** A number of keys. */
  get capacity(): number {
    return this.#entries.length / 4;
  }

  get size(): number {
    return this.#size;
  }

  get byteLength(): number {
    return this.#entries.byteLength + this.#index.byteLength;
  }

  /**
   * Returns the place of the word of the key `keys[at, at + 3)` in a cell, which is 0 for a new key. The place is good
   * until the next call. The first word of the key must be a hash, because it decides the slot.
   */
  placeOf(cell: number, keys: Int32Array, keyAt: number): number {
    if ((this.#size + 1) * 4 === this.#entries.length) this.#grow();
    const slot = this.#slotOf(cell, keys, keyAt);
    const word = this.#index[slot]!;
    if (word !== 0) return ((word & this.#numberMask) << 2) + 3;
    const number = ++this.#size;
    this.#index[slot] = (keys[keyAt + 1]! & ~this.#numberMask) | number;
    const entries = this.#entries;
    const at = number << 2;
    entries[at] = keys[keyAt]!;
    entries[at + 1] = keys[keyAt + 1]!;
    entries[at + 2] = keys[keyAt + 2]! ^ mixed(cell);
    entries[at + 3] = 0;
    return at + 3;
  }

  /** Returns the place of the word of a key that is known, or 0. */
  find(cell: number, keys: Int32Array, keyAt: number): number {
    const word = this.#index[this.#slotOf(cell, keys, keyAt)]!;
    return word === 0 ? 0 : ((word & this.#numberMask) << 2) + 3;
  }

  get(place: number): number {
    return this.#entries[place]!;
  }

  set(place: number, word: number): void {
    this.#entries[place] = word;
  }

  clear(): void {
    this.#index.fill(0);
    this.#size = 0;
  }

  /** Reads the memory that `placeOf` would read first for each key. The result has no meaning (click-group.ts). */
  prefetch(keys: Int32Array, count: number): number {
    const index = this.#index;
    const slotsPerHash = this.#slotsPerHash;
    let sum = 0;
    for (let i = 0; i < count; i++) sum ^= index[firstSlot(keys[i * 3]!, slotsPerHash)]!;
    return sum;
  }

  /** Returns the slot of a key, or the free slot that it would have. */
  #slotOf(cell: number, keys: Int32Array, keyAt: number): number {
    const a = keys[keyAt]!;
    const b = keys[keyAt + 1]!;
    const c = keys[keyAt + 2]! ^ mixed(cell);
    const index = this.#index;
    const entries = this.#entries;
    const numberMask = this.#numberMask;
    const ofKey = b & ~numberMask;
    for (let slot = firstSlot(a, this.#slotsPerHash); ; slot = slot + 1 === index.length ? 0 : slot + 1) {
      const word = index[slot]!;
      if (word === 0) return slot;
      if ((word & ~numberMask) !== ofKey) continue;
      const at = (word & numberMask) << 2;
      if (entries[at] === a && entries[at + 1] === b && entries[at + 2] === c) return slot;
    }
  }

  #grow(): void {
    const capacity = grownTowards(this.#expectedKeys, this.capacity, largeFrom);
    const entries = new Int32Array(capacity * 4);
    entries.set(this.#entries);
    const index = new Int32Array(capacity * 2);
    const slotsPerHash = index.length / 2 ** 32;
    const numberMask = maskFor(capacity);
    for (let number = 1; number <= this.#size; number++) {
      let slot = firstSlot(entries[number << 2]!, slotsPerHash);
      while (index[slot] !== 0) slot = slot + 1 === index.length ? 0 : slot + 1;
      index[slot] = (entries[(number << 2) + 1]! & ~numberMask) | number;
    }
    this.#entries = entries;
    this.#index = index;
    this.#slotsPerHash = slotsPerHash;
    this.#numberMask = numberMask;
  }
}

/** A number of keys (growth.ts). */
const largeFrom = 1 << 19;

/** As many bits as the number of the last of `capacity` entries has. */
function maskFor(capacity: number): number {
  return 2 ** (32 - Math.clz32(capacity - 1)) - 1;
}

/** Two cells never have the same result. */
function mixed(cell: number): number {
  return Math.imul(cell, 0x9e3779b1);
}
