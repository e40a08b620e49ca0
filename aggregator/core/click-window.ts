/** Holds the state of one window that is not final: its counts, the counted ids, and where it begins in the log. */
import type { CellTable } from './cell-table.ts';
import type { IdSet } from './id-set.ts';
import { windowMs } from './time.ts';

export interface Tables {
  readonly ids: IdSet;
  readonly cells: CellTable;
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

  /** Uses the given tables, which must be empty. */
  constructor(start: number, firstOffset: number, watermarkBefore: number, { ids, cells }: Tables) {
    this.start = start;
    this.end = start + windowMs;
    this.firstOffset = firstOffset;
    this.watermarkBefore = watermarkBefore;
    this.ids = ids;
    this.cells = cells;
  }

  get byteLength(): number {
    return this.ids.byteLength + this.cells.byteLength;
  }
}
