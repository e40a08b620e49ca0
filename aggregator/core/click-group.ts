/**
 * Clicks that have been read and hashed, and wait to be counted together. A click's id and its cell lie
 * anywhere in tables of many MB; looked up one after another, each waits for the memory alone, and that was the largest
 * part of counting. So the places of a whole group are first read in one loop, whose reads the processor overlaps, and
 * then each click is counted from the cache, in the order of the log: what is counted does not depend on the group.
 *
 * Group prefetching after Chen, Ailamaki, Gibbons, Mowry: "Improving Hash Join Performance through Prefetching" (2004),
 * with plain reads for want of a prefetch instruction.
 */
import type { RecordReader } from '../../ingest/record-reader.ts';
import { hashCell } from './cell-table.ts';
import type { ClickWindow } from './click-window.ts';
import { hashClick, type IdKey, idKeyOf } from './id-hash.ts';

/** Large enough for reads to overlap, small enough for what they bring to stay in the cache. */
const mostClicks = 256;

export class ClickGroup {
  size = 0;
  /** The bytes with the group's lines, and a view of those with their ads: of lines that are canonical, the same. */
  value: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(new ArrayBuffer(0));
  /** Four words each. */
  readonly ids = new Int32Array(4 * mostClicks);
  readonly cellHashes = new Int32Array(mostClicks);
  readonly adStarts = new Int32Array(mostClicks);
  readonly adEnds = new Int32Array(mostClicks);
  readonly countries = new Uint16Array(mostClicks);
  readonly clickedAt = new Float64Array(mostClicks);
  /** Of the click's record. */
  readonly offsets = new Float64Array(mostClicks);
  readonly appendedAt = new Float64Array(mostClicks);
  /** The line in `value`, and its number in its record. */
  readonly lineStarts = new Int32Array(mostClicks);
  readonly lineEnds = new Int32Array(mostClicks);
  readonly lineIndexes = new Int32Array(mostClicks);
  /** A line that is not canonical, alone in its group: the reader still stands at it. */
  isParsed = false;
  /** Clicks of minutes from this on (epoch ms) are told apart by ad and event id, earlier ones by event id alone. */
  idsPerAdFrom: number;
  readonly #idKey: IdKey;
  /** Of no use, but kept, or the compiler would leave out the reads. */
  prefetched = 0;

  constructor(seed: number, idsPerAdFrom: number) {
    this.idsPerAdFrom = idsPerAdFrom;
    this.#idKey = idKeyOf(seed);
  }

  get isFull(): boolean {
    return this.size === mostClicks;
  }

  /** The click at which `reader` stands. */
  add(reader: RecordReader, offset: number, appendedAt: number): void {
    const i = this.size++;
    const { view, adIdStart, adIdEnd, country } = reader;
    this.value = reader.value;
    this.view = view;
    const adHash = hashClick(reader, reader.clickedAt >= this.idsPerAdFrom, this.#idKey, this.ids, 4 * i);
    this.cellHashes[i] = hashCell(adHash, country);
    this.adStarts[i] = adIdStart;
    this.adEnds[i] = adIdEnd;
    this.countries[i] = country;
    this.clickedAt[i] = reader.clickedAt;
    this.offsets[i] = offset;
    this.appendedAt[i] = appendedAt;
    this.lineStarts[i] = reader.lineStart;
    this.lineEnds[i] = reader.lineEnd;
    this.lineIndexes[i] = reader.lineIndex;
    this.isParsed = reader.parsed !== undefined;
  }

  /** Brings what the clicks will need of the window, which most of them belong to, into the cache. */
  prefetch({ ids, cells }: ClickWindow): void {
    this.prefetched = ids.prefetch(this.ids, this.size) + cells.prefetch(this.cellHashes, this.size);
  }
}
