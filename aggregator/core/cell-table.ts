/**
 * The counts of one window: a hash table from (ad, country) to a cell of three counters, in typed arrays, with the ads'
 * bytes in one arena. Looking up a known ad makes no object and no string. It also remembers which cells have changed
 * since they were last written.
 */
export class CellTable {
  /** Cell number + 1 per slot; 0 = free. */
  #slots = new Int32Array(256);
  #size = 0;
  #hashes = new Uint32Array(128);
  #adStarts = new Uint32Array(128);
  #adLengths = new Uint8Array(128);
  #countries = new Uint16Array(128);
  #arena = new Uint8Array(2048);
  #arenaLength = 0;
  readonly #seed: number;

  clicks = new Uint32Array(128);
  duplicates = new Uint32Array(128);
  late = new Uint32Array(128);
  #changed = new Uint8Array(128);
  #changedCells = new Uint32Array(128);
  #changedCount = 0;

  constructor(seed: number) {
    this.#seed = seed;
  }

  get size(): number {
    return this.#size;
  }

  get byteLength(): number {
    return this.#slots.byteLength + this.#arena.byteLength + this.#hashes.length * (4 + 4 + 1 + 2 + 4 + 4 + 4 + 1 + 4);
  }

  get changedCount(): number {
    return this.#changedCount;
  }

  /** The cell of the ad `b[start, end)` in `country` (two letters as `first << 8 | second`), made if need be. */
  cellOf(b: Uint8Array, start: number, end: number, country: number): number {
    const hash = this.#hashOf(b, start, end, country);
    const mask = this.#slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const cell = this.#slots[slot]! - 1;
      if (cell === -1) return this.#insert(slot, hash, b, start, end, country);
      if (this.#hashes[cell] === hash && this.#countries[cell] === country && this.#isAd(cell, b, start, end))
        return cell;
    }
  }

  markChanged(cell: number): void {
    if (this.#changed[cell] === 1) return;
    this.#changed[cell] = 1;
    this.#changedCells[this.#changedCount++] = cell;
  }

  /** Calls `visit` for every changed cell, and takes them for written. */
  takeChanged(visit: (arena: Uint8Array, adStart: number, adEnd: number, country: number, cell: number) => void): void {
    for (let i = 0; i < this.#changedCount; i++) {
      const cell = this.#changedCells[i]!;
      this.#changed[cell] = 0;
      const adStart = this.#adStarts[cell]!;
      visit(this.#arena, adStart, adStart + this.#adLengths[cell]!, this.#countries[cell]!, cell);
    }
    this.#changedCount = 0;
  }

  #hashOf(b: Uint8Array, start: number, end: number, country: number): number {
    let hash = this.#seed ^ country;
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ b[i]!, 0x01000193);
    // FNV's low bits are weak, and they choose the slot.
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    return (hash ^ (hash >>> 13)) >>> 0;
  }

  #isAd(cell: number, b: Uint8Array, start: number, end: number): boolean {
    const length = end - start;
    if (this.#adLengths[cell] !== length) return false;
    const arena = this.#arena;
    const at = this.#adStarts[cell]!;
    for (let i = 0; i < length; i++) if (arena[at + i] !== b[start + i]) return false;
    return true;
  }

  #insert(slot: number, hash: number, b: Uint8Array, start: number, end: number, country: number): number {
    const cell = this.#size++;
    if (cell === this.#hashes.length) this.#growCells();
    const length = end - start;
    while (this.#arenaLength + length > this.#arena.length)
      this.#arena = grown(this.#arena, new Uint8Array(this.#arena.length * 2));
    this.#hashes[cell] = hash;
    this.#adStarts[cell] = this.#arenaLength;
    this.#adLengths[cell] = length;
    this.#countries[cell] = country;
    for (let i = 0; i < length; i++) this.#arena[this.#arenaLength++] = b[start + i]!;
    this.#slots[slot] = cell + 1;
    if (this.#size * 2 > this.#slots.length) this.#growSlots();
    return cell;
  }

  #growCells(): void {
    const length = this.#hashes.length * 2;
    this.#hashes = grown(this.#hashes, new Uint32Array(length));
    this.#adStarts = grown(this.#adStarts, new Uint32Array(length));
    this.#adLengths = grown(this.#adLengths, new Uint8Array(length));
    this.#countries = grown(this.#countries, new Uint16Array(length));
    this.clicks = grown(this.clicks, new Uint32Array(length));
    this.duplicates = grown(this.duplicates, new Uint32Array(length));
    this.late = grown(this.late, new Uint32Array(length));
    this.#changed = grown(this.#changed, new Uint8Array(length));
    this.#changedCells = grown(this.#changedCells, new Uint32Array(length));
  }

  #growSlots(): void {
    const slots = new Int32Array(this.#slots.length * 2);
    const mask = slots.length - 1;
    for (let cell = 0; cell < this.#size; cell++) {
      let slot = this.#hashes[cell]! & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = cell + 1;
    }
    this.#slots = slots;
  }
}

function grown<T extends Uint8Array | Uint16Array | Uint32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
