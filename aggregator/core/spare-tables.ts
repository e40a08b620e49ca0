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
import { isFarTooLarge } from './growth.ts';
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
    if (!isFarTooLarge(ids.capacity, ids.size)) this.#spare = { ids, cells };
    if (validity !== undefined && !validity.isFarTooLarge) this.#validity = validity;
  }

  /**
   * Returns empty tables, which judge clicks by `rules`. Minutes are similar, so the next window will need what the
   * fullest of the `open` windows needed.
   */
  acquire(open: readonly Tables[], rules: RuleSet): Tables {
    const fullest = open.reduce<Tables | undefined>((most, window) => {
      return most === undefined || window.ids.size > most.ids.size ? window : most;
    }, undefined);
    const validity = rules.version === 0 ? undefined : this.#validityFor(rules, fullest?.validity);
    const spare = this.#spare;
    if (spare === undefined)
      return { ids: new IdSet(capacityFor(fullest?.ids.size ?? 0)), cells: new CellTable(), validity };
    this.#spare = undefined;
    spare.ids.clear();
    spare.cells.clear();
    return { ...spare, validity };
  }

  #validityFor(rules: RuleSet, alike: WindowValidity | undefined): WindowValidity {
    const spare = this.#validity;
    if (spare === undefined) return new WindowValidity(rules, alike);
    this.#validity = undefined;
    spare.begin(rules);
    return spare;
  }
}
