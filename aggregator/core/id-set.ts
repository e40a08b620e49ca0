/**
 * A set of 128-bit ids in one typed array: open addressing, linear probing, at most 7 of 10 slots used. An id costs 23
 * to 46 bytes and no object. It lives and dies with its window, so nothing is ever removed from it.
 */
export class IdSet {
  #words: Uint32Array;
  #mask: number;
  #size = 0;

  constructor(capacity = 1024) {
    this.#words = new Uint32Array(capacity * 4);
    this.#mask = capacity - 1;
  }

  get size(): number {
    return this.#size;
  }

  get byteLength(): number {
    return this.#words.byteLength;
  }

  /** Adds the four words; false if they are there already. */
  add(id: Uint32Array): boolean {
    if (this.#size >= (this.#mask + 1) * 0.7) this.#grow();
    const a = id[0]!;
    const b = id[1]!;
    const c = id[2]!;
    // All zero marks a free slot. The one id that hashes to it is kept as its neighbour: one more chance in 2^128.
    const d = (a | b | c | id[3]!) === 0 ? 1 : id[3]!;
    const words = this.#words;
    let slot = a & this.#mask;
    for (;;) {
      const at = slot * 4;
      const x = words[at]!;
      if (x === a && words[at + 1] === b && words[at + 2] === c && words[at + 3] === d) return false;
      if (x === 0 && words[at + 1] === 0 && words[at + 2] === 0 && words[at + 3] === 0) {
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

  #grow(): void {
    const old = this.#words;
    this.#words = new Uint32Array(old.length * 2);
    this.#mask = this.#mask * 2 + 1;
    this.#size = 0;
    for (let at = 0; at < old.length; at += 4) {
      const id = old.subarray(at, at + 4);
      if (id[0] !== 0 || id[1] !== 0 || id[2] !== 0 || id[3] !== 0) this.add(id);
    }
  }
}
