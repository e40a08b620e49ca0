/** Holds the state of one window that is not final: its counts, the counted ids, what rules have found, and where it begins in the log. */
import type { CellTable } from './cell-table.ts';
import type { IdSet } from './id-set.ts';
import { windowMs } from './time.ts';
import type { WindowValidity } from './window-validity.ts';

export interface Tables {
  readonly ids: IdSet;
  readonly cells: CellTable;
  /** Undefined where the minute has no rules: all clicks are valid. */
  readonly validity: WindowValidity | undefined;
}

export class ClickWindow {
  readonly start: number;
  readonly end: number;
  /** The offset of the first record with a click of this window. */
  readonly firstOffset: number;
  /** The watermark just before that record. Reading again from there must begin with it. */
  readonly watermarkBefore: number;
  readonly ids: IdSet;
  readonly cells: CellTable;
  readonly validity: WindowValidity | undefined;

  /** Uses the given tables, which must be empty. */
  constructor(start: number, firstOffset: number, watermarkBefore: number, { ids, cells, validity }: Tables) {
    this.start = start;
    this.end = start + windowMs;
    this.firstOffset = firstOffset;
    this.watermarkBefore = watermarkBefore;
    this.ids = ids;
    this.cells = cells;
    this.validity = validity;
  }

  get byteLength(): number {
    return this.ids.byteLength + this.cells.byteLength + (this.validity?.byteLength ?? 0);
  }
}
