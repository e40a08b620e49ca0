/**
 * Holds the counts of one window: a hash table from (ad, country) to a cell of three counters and a note, in typed arrays.
 *
 * All numbers of a cell lie together, and the bytes of all ads lie in one arena, so that a click reads as little memory
 * as possible. Looking up a known ad creates no object and no string. The table also remembers which cells have changed
 * since they were last written.
 */
import { grownFrom } from './growth.ts';
import { avalanche } from './id-hash.ts';

export class CellTable {
  /** A cell's number per slot. No cell has number 0, which marks a free slot. */
  #slots = new Int32Array(256);
  #size = 0;
  /** Each cell has `wordsPerCell` words. */
  #cells = new Uint32Array(128 * wordsPerCell);
  #arena = new DataView(new ArrayBuffer(2048));
  #arenaLength = 0;
  /** One bit for each cell: whether it has changes that are not written. */
  #changed = new Int32Array(4);
  #changedCount = 0;

  get byteLength(): number {
    return this.#slots.byteLength + this.#cells.byteLength + this.#arena.byteLength + this.#changed.byteLength;
  }

  get changedCount(): number {
    return this.#changedCount;
  }

  /**
   * Returns the cell of the ad `b[start, end)` in `country` (two letters as `first << 8 | second`), and creates it if
   * necessary. `hash` is the result of `hashCell` for them.
   */
  cellOf(b: DataView, start: number, end: number, country: number, hash: number): number {
    const slots = this.#slots;
    const cells = this.#cells;
    const mask = slots.length - 1;
    const name = (country << 16) | (end - start);
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const cell = slots[slot]!;
      if (cell === 0) return this.#insert(slot, hash, b, start, name);
      const at = cell * wordsPerCell;
      if (
        (cells[at + hashWord]! | 0) === hash &&
        (cells[at + nameWord]! | 0) === name &&
        this.#isAd(cell, b, start, end)
      )
        return cell;
    }
  }

  /** Returns what `hashCell` has given for the cell. */
  hashOf(cell: number): number {
    return this.#cells[cell * wordsPerCell + hashWord]! | 0;
  }

  clicksOf(cell: number): number {
    return this.#cells[cell * wordsPerCell + clicksWord]!;
  }

  duplicatesOf(cell: number): number {
    return this.#cells[cell * wordsPerCell + duplicatesWord]!;
  }

  lateOf(cell: number): number {
    return this.#cells[cell * wordsPerCell + lateWord]!;
  }

  addClick(cell: number, isLate: boolean): void {
    this.#cells[cell * wordsPerCell + clicksWord]!++;
    if (isLate) this.#cells[cell * wordsPerCell + lateWord]!++;
    this.markChanged(cell);
  }

  /** What was kept of the cell by `setNote`, or 0. */
  noteOf(cell: number): number {
    return this.#cells[cell * wordsPerCell + noteWord]! | 0;
  }

  /** Keeps 32 bits, until `clear`, for those who judge the clicks of the cell (address-caps.ts). */
  setNote(cell: number, note: number): void {
    this.#cells[cell * wordsPerCell + noteWord] = note;
  }

  addDuplicate(cell: number): void {
    this.#cells[cell * wordsPerCell + duplicatesWord]!++;
    this.markChanged(cell);
  }

  /** Its row is to be written. */
  markChanged(cell: number): void {
    const bit = 1 << (cell & 31);
    if ((this.#changed[cell >>> 5]! & bit) !== 0) return;
    this.#changed[cell >>> 5]! |= bit;
    this.#changedCount++;
  }

  /** Calls `visit` for every changed cell, and marks it as written. */
  drainChanged(visit: (arena: DataView, adStart: number, adEnd: number, country: number, cell: number) => void): void {
    for (let word = 0; word <= this.#size >>> 5; word++) {
      for (let bits = this.#changed[word]!; bits !== 0; bits &= bits - 1) {
        const cell = (word << 5) + 31 - Math.clz32(bits & -bits);
        const at = cell * wordsPerCell;
        const adStart = this.#cells[at + adStartWord]!;
        const name = this.#cells[at + nameWord]!;
        visit(this.#arena, adStart, adStart + (name & 0xffff), name >>> 16, cell);
      }
      this.#changed[word] = 0;
    }
    this.#changedCount = 0;
  }

  /** May be called only when no cell has changed. */
  clear(): void {
    this.#slots.fill(0);
    this.#cells.fill(0, 0, (this.#size + 1) * wordsPerCell);
    this.#size = 0;
    this.#arenaLength = 0;
  }

  /** Reads the memory that `cellOf` would read first for each hash. The result has no meaning (click-group.ts). */
  prefetch(hashes: Int32Array, count: number): number {
    const slots = this.#slots;
    const cells = this.#cells;
    const mask = slots.length - 1;
    let sum = 0;
    for (let i = 0; i < count; i++) sum ^= slots[hashes[i]! & mask]!;
    for (let i = 0; i < count; i++) sum ^= cells[slots[hashes[i]! & mask]! * wordsPerCell]!;
    for (let i = 0; i < count; i++)
      sum ^= this.#arena.getInt8(cells[slots[hashes[i]! & mask]! * wordsPerCell + adStartWord]!);
    return sum;
  }

  #isAd(cell: number, b: DataView, start: number, end: number): boolean {
    const arena = this.#arena;
    const to = this.#cells[cell * wordsPerCell + adStartWord]! - start;
    let i = start;
    for (; i + 4 <= end; i += 4) if (arena.getInt32(to + i, true) !== b.getInt32(i, true)) return false;
    for (; i < end; i++) if (arena.getInt8(to + i) !== b.getInt8(i)) return false;
    return true;
  }

  #insert(slot: number, hash: number, b: DataView, start: number, name: number): number {
    const cell = ++this.#size;
    if (cell * wordsPerCell === this.#cells.length) this.#growCells();
    const length = name & 0xffff;
    while (this.#arenaLength + length > this.#arena.byteLength) this.#growArena();
    const at = cell * wordsPerCell;
    this.#cells[at + hashWord] = hash;
    this.#cells[at + nameWord] = name;
    this.#cells[at + adStartWord] = this.#arenaLength;
    for (let i = 0; i < length; i++) this.#arena.setInt8(this.#arenaLength++, b.getInt8(start + i));
    this.#slots[slot] = cell;
    if (this.#size * 2 > this.#slots.length) this.#growSlots();
    return cell;
  }

  #growCells(): void {
    const capacity = grownFrom(this.#cells.length / wordsPerCell, largeFrom);
    const cells = new Uint32Array(capacity * wordsPerCell);
    cells.set(this.#cells);
    this.#cells = cells;
    const changed = new Int32Array(Math.ceil(capacity / 32));
    changed.set(this.#changed);
    this.#changed = changed;
  }

  #growArena(): void {
    const arena = new Uint8Array(grownFrom(this.#arena.byteLength, largeFrom));
    arena.set(new Uint8Array(this.#arena.buffer));
    this.#arena = new DataView(arena.buffer);
  }

  #growSlots(): void {
    const slots = new Int32Array(this.#slots.length * 2);
    const mask = slots.length - 1;
    for (let cell = 1; cell <= this.#size; cell++) {
      let slot = this.#cells[cell * wordsPerCell + hashWord]! & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = cell;
    }
    this.#slots = slots;
  }
}

/** A number of cells, or of bytes of their ads. */
const largeFrom = 65_536;
const wordsPerCell = 7;
const hashWord = 0;
/** The country is in the upper half, and the length of the ad in the lower half. */
const nameWord = 1;
/** The position of the ad. */
const adStartWord = 2;
const clicksWord = 3;
const duplicatesWord = 4;
const lateWord = 5;
const noteWord = 6;

/** Mixes 32 bits of the ad's hash (id-hash.ts) with its country. */
export function hashCell(adHash: number, country: number): number {
  return avalanche((adHash + Math.imul(country, 0x9e3779b1)) | 0);
}
