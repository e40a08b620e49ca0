/**
 * Keeps the tables of the last closed window for the next one.
 *
 * Allocating large tables for every minute costs more than clearing them, because of new memory pages and garbage
 * collection. The tables of at most one window are kept. Tables that were far too large for their content are not kept,
 * because the tables of one extreme minute would otherwise stay forever.
 */
import type { RuleSet } from '../../ingest/validity/rules.ts';
import { CellTable } from './cell-table.ts';
import type { Tables } from './click-window.ts';
import { capacityFor, IdSet } from './id-set.ts';
import { WindowValidity } from './window-validity.ts';

export class SpareTables {
  #spare: Omit<Tables, 'validity'> | undefined;
  #validity: WindowValidity | undefined;

  get byteLength(): number {
    const validity = this.#validity?.byteLength ?? 0;
    return this.#spare === undefined ? validity : this.#spare.ids.byteLength + this.#spare.cells.byteLength + validity;
  }

  /** Takes back tables that nobody uses any more. */
  release({ ids, cells, validity }: Tables): void {
    if (ids.size * leastUse >= ids.capacity || ids.capacity <= smallCapacity) this.#spare = { ids, cells };
    if (validity !== undefined && !validity.isFarTooLarge) this.#validity = validity;
  }

  /**
   * Returns empty tables, which judge clicks by `rules`. Minutes are similar, so the next window will need what the
   * fullest of the `open` windows needed.
   */
  acquire(open: Iterable<Tables>, rules: RuleSet): Tables {
    const validity = this.#validityFor(rules);
    const spare = this.#spare;
    if (spare === undefined) {
      const most = Math.max(0, ...Array.from(open, ({ ids }) => ids.size));
      return { ids: new IdSet(capacityFor(most)), cells: new CellTable(), validity };
    }
    this.#spare = undefined;
    spare.ids.clear();
    spare.cells.clear();
    return { ...spare, validity };
  }

  #validityFor(rules: RuleSet): WindowValidity | undefined {
    if (rules.version === 0) return undefined;
    const validity = this.#validity;
    if (validity === undefined) return new WindowValidity(rules);
    this.#validity = undefined;
    validity.begin(rules);
    return validity;
  }
}

/** At least one slot in this many was used. */
const leastUse = 8;
/** Tables with at most this many slots are kept, however few of them were used. */
const smallCapacity = 8_192;
