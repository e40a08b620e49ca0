/**
 * Counts the clicks of each address in each cell of one window, as late as the answer allows: no address of a cell has
 * more clicks than the cell. So while a cell has no more clicks than an address may have, each of them gets through, and
 * it is only noted. Notes are written one after another, which costs much less than a place in a large table. The click
 * that makes a cell exceed the cap puts all notes of this cell into the table, and from then on the table decides.
 *
 * What gets through is the same as if the table had counted each click.
 */
import { CapTable } from './cap-table.ts';
import type { CellTable } from './cell-table.ts';
import { grownTowards, isFarTooLarge } from './growth.ts';

export class AddressCaps {
  readonly #table = new CapTable();
  /** For each noted click three words of its key, and the place of the note before it in the same cell. */
  #notes = new Int32Array(256 * wordsPerNote);
  /** Place 0 is left out, because it says that there is no note. */
  #end = wordsPerNote;
  readonly #expectedNotes: number;

  /** The memory will probably grow as large as that of `alike`. */
  constructor(alike?: AddressCaps) {
    this.#expectedNotes = alike === undefined ? 0 : Math.ceil((1.1 * alike.#end) / wordsPerNote);
  }

  get byteLength(): number {
    return this.#table.byteLength + this.#notes.byteLength;
  }

  /** Whether most of the memory was not used by the clicks since the last `clear`, and it is large (spare-tables.ts). */
  get isFarTooLarge(): boolean {
    const { capacity, size } = this.#table;
    return isFarTooLarge(capacity, size) || isFarTooLarge(this.#notes.length, this.#end);
  }

  /**
   * Returns whether a click that was counted in `cell` gets through under a cap of `most` clicks an address. Its key is
   * `keys[at, at + 3)`. The note of a cell in `cells` is the place of its last note here, 0 while it has none, or
   * `isCounted`.
   */
  letsThrough(cells: CellTable, cell: number, keys: Int32Array, at: number, most: number): boolean {
    const last = cells.noteOf(cell);
    if (cells.clicksOf(cell) <= most) {
      cells.setNote(cell, this.#note(keys, at, last));
      return true;
    }
    if (last !== isCounted) {
      this.#countNotes(cell, last);
      cells.setNote(cell, isCounted);
    }
    const place = this.#table.placeOf(cell, keys, at);
    const before = this.#table.get(place);
    if (before >= most) return false;
    this.#table.set(place, before + 1);
    return true;
  }

  clear(): void {
    this.#table.clear();
    this.#end = wordsPerNote;
  }

  /** Reads the memory that the table would read first for each key. The result has no meaning (click-group.ts). */
  prefetch(keys: Int32Array, count: number): number {
    return this.#table.size === 0 ? 0 : this.#table.prefetch(keys, count);
  }

  #note(keys: Int32Array, at: number, last: number): number {
    const to = this.#end;
    if (to === this.#notes.length) this.#growNotes();
    const notes = this.#notes;
    notes[to] = keys[at]!;
    notes[to + 1] = keys[at + 1]!;
    notes[to + 2] = keys[at + 2]!;
    notes[to + 3] = last;
    this.#end = to + wordsPerNote;
    return to;
  }

  #countNotes(cell: number, last: number): void {
    const notes = this.#notes;
    for (let from = last; from !== 0; from = notes[from + 3]!) {
      const place = this.#table.placeOf(cell, notes, from);
      this.#table.set(place, this.#table.get(place) + 1);
    }
  }

  #growNotes(): void {
    const notes = new Int32Array(
      grownTowards(this.#expectedNotes, this.#notes.length / wordsPerNote, largeFrom) * wordsPerNote,
    );
    notes.set(this.#notes);
    this.#notes = notes;
  }
}

const isCounted = -1;
const wordsPerNote = 4;
/** A number of notes (growth.ts). */
const largeFrom = 1 << 20;
