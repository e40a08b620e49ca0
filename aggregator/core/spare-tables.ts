/**
 * Keeps the tables of the last closed window for the next one.
 *
 * Allocating large tables for every minute costs more than clearing them, because of new memory pages and garbage
 * collection. The tables of at most one window are kept. Tables that were far too large for their content are not kept,
 * because the tables of one extreme minute would otherwise stay forever.
 */
import { CellTable } from './cell-table.ts';
import type { Tables } from './click-window.ts';
import { capacityFor, IdSet } from './id-set.ts';

export class SpareTables {
  #spare: Tables | undefined;

  get byteLength(): number {
    return this.#spare === undefined ? 0 : this.#spare.ids.byteLength + this.#spare.cells.byteLength;
  }

  /** Takes back tables that nobody uses any more. */
  release({ ids, cells }: Tables): void {
    if (ids.size * leastUse >= ids.capacity || ids.capacity <= smallCapacity) this.#spare = { ids, cells };
  }

  /**
   * Returns empty tables. Minutes are similar, so the next window will need what the fullest of the `open` windows
   * needed.
   */
  acquire(open: Iterable<Tables>): Tables {
    const spare = this.#spare;
    if (spare === undefined) {
      const most = Math.max(0, ...Array.from(open, ({ ids }) => ids.size));
      return { ids: new IdSet(capacityFor(most)), cells: new CellTable() };
    }
    this.#spare = undefined;
    spare.ids.clear();
    spare.cells.clear();
    return spare;
  }
}

/** At least one slot in this many was used. */
const leastUse = 8;
/** Tables with at most this many slots are kept, however few of them were used. */
const smallCapacity = 8_192;
