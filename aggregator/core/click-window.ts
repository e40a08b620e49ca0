/** The state of one window that is not final: its counts, the ids counted, and where in the log it begins. */
import { CellTable } from './cell-table.ts';
import { IdSet } from './id-set.ts';
import { windowMs } from './time.ts';

export class ClickWindow {
  readonly start: number;
  readonly end: number;
  /** Offset of the first record with a click of this window. */
  readonly firstOffset: number;
  /** The watermark just before that record: re-reading from there must begin with it. */
  readonly watermarkBefore: number;
  readonly ids: IdSet;
  readonly cells = new CellTable();

  constructor(start: number, firstOffset: number, watermarkBefore: number, expectedIds: number) {
    this.start = start;
    this.end = start + windowMs;
    this.firstOffset = firstOffset;
    this.watermarkBefore = watermarkBefore;
    this.ids = new IdSet(expectedIds);
  }

  get byteLength(): number {
    return this.ids.byteLength + this.cells.byteLength;
  }
}
