/**
 * The tables of the last window that was dropped and written, for the next one: to have large tables made anew for every
 * minute costs more (fresh pages of memory, garbage to collect) than to clear them. At most one window's are kept, and
 * none that were far too large for what they held: or the tables of one wild minute would be kept for ever.
 */
import { CellTable } from './cell-table.ts';
import type { Tables } from './click-window.ts';
import { capacityFor, IdSet } from './id-set.ts';

export class SpareTables {
  #spare: Tables | undefined;

  get byteLength(): number {
    return this.#spare === undefined ? 0 : this.#spare.ids.byteLength + this.#spare.cells.byteLength;
  }

  /** Nobody uses them any more. */
  release({ ids, cells }: Tables): void {
    if (ids.size * leastUse >= ids.capacity || ids.capacity <= smallCapacity) this.#spare = { ids, cells };
  }

  /** Empty tables. Minutes are alike: what the fullest of the `open` windows needed, the next will need. */
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

/** One slot in so many was used, at least. */
const leastUse = 8;
/** Slots that may be kept whatever their use. */
const smallCapacity = 8_192;
