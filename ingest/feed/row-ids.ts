/**
 * Creates ids for rows that have none.
 *
 * An id is made from the row's text and from the number of equal rows before it in what is read from beginning to end:
 * one file, or a followed file with all files that replaced it. Neither the file's name nor the place of its bytes is
 * part of it. So a file that was renamed, copied, packed or appended to another has the same ids. Of rows that are
 * equal in every byte, as many count as there are in the content that has most of them (infra/decisions/032).
 */
import { createHash } from 'node:crypto';

export class RowIds {
  readonly #generationRows: number;
  readonly #onFarApart: () => void;
  /**
   * By the beginning of the text's digest. There are two generations: the older one is forgotten when the younger one
   * is full.
   */
  #young = new Map<number, number>();
  #old = new Map<number, number>();

  /**
   * `onFarApart` is called when an equal row comes so far after the last one that another one may have been forgotten.
   */
  constructor(onFarApart: () => void, generationRows = 500_000) {
    this.#onFarApart = onFarApart;
    this.#generationRows = generationRows;
  }

  /** Returns 32 hexadecimal characters. Each call counts the row. */
  idOf(text: string): string {
    const digest = createHash('sha256').update(text).digest();
    const key = digest.readUIntBE(0, 6);
    const older = this.#old.get(key);
    const before = this.#young.get(key) ?? older ?? 0;
    if (older !== undefined && !this.#young.has(key) && this.#young.size > this.#generationRows / 2) this.#onFarApart();
    if (this.#young.size >= this.#generationRows) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, before + 1);
    const id = before === 0 ? digest : createHash('sha256').update(digest).update(`\n${before}`).digest();
    return id.toString('hex', 0, 16);
  }
}
