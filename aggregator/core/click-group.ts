/**
 * Collects clicks that have been read and hashed, so that they are counted together.
 *
 * The id and the cell of a click can lie anywhere in tables of many MB. When they are looked up one after another, each
 * lookup waits for the memory alone, and that was the largest part of counting. So one loop first reads the places of a
 * whole group, and the processor overlaps these reads. Then each click is counted from the cache, in the order of the
 * log. What is counted does not depend on the group.
 *
 * Group prefetching after Chen, Ailamaki, Gibbons, Mowry: "Improving Hash Join Performance through Prefetching" (2004),
 * with plain reads because there is no prefetch instruction here.
 */
import type { RecordReader } from '../../ingest/record-reader.ts';
import type { RulesAt } from '../../ingest/validity/rules.ts';
import { hashCell } from './cell-table.ts';
import { ClickPersons } from './click-persons.ts';
import type { ClickWindow } from './click-window.ts';
import { hashClick, type IdKey, idKeyOf } from './id-hash.ts';

/** Large enough for reads to overlap, and small enough for the data that they read to stay in the cache. */
const mostClicks = 256;

export class ClickGroup {
  size = 0;
  /**
   * The bytes with the group's lines, and a view of the bytes with their ads. For canonical lines both are the same
   * bytes.
   */
  value: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(new ArrayBuffer(0));
  /** Four words for each click. */
  readonly ids = new Int32Array(4 * mostClicks);
  readonly cellHashes = new Int32Array(mostClicks);
  readonly adStarts = new Int32Array(mostClicks);
  readonly adEnds = new Int32Array(mostClicks);
  readonly countries = new Uint16Array(mostClicks);
  readonly clickedAt = new Float64Array(mostClicks);
  /** The offsets of the clicks' records. */
  readonly offsets = new Float64Array(mostClicks);
  readonly appendedAt = new Float64Array(mostClicks);
  /** The positions of the lines in `value`, and their numbers in their records. */
  readonly lineStarts = new Int32Array(mostClicks);
  readonly lineEnds = new Int32Array(mostClicks);
  readonly lineIndexes = new Int32Array(mostClicks);
  /** Whether the group is a single line that is not canonical. The reader is then still at this line. */
  isParsed = false;
  /**
   * In minutes from this time on (epoch ms), clicks are identified by ad and event id. In earlier minutes they are
   * identified by event id alone.
   */
  idsPerAdFrom: number;
  /** What rules judge the clicks by. */
  readonly persons: ClickPersons;
  readonly #idKey: IdKey;
  /** Has no meaning. It is kept because the compiler would otherwise remove the reads. */
  prefetched = 0;

  constructor(seed: number, idsPerAdFrom: number, rulesAt: RulesAt) {
    this.idsPerAdFrom = idsPerAdFrom;
    this.#idKey = idKeyOf(seed);
    this.persons = new ClickPersons(mostClicks, rulesAt, this.#idKey);
  }

  get isFull(): boolean {
    return this.size === mostClicks;
  }

  /** Adds the click at which `reader` is. */
  add(reader: RecordReader, offset: number, appendedAt: number): void {
    const i = this.size++;
    const { view, adIdStart, adIdEnd, country } = reader;
    this.value = reader.value;
    this.view = view;
    const adHash = hashClick(reader, reader.clickedAt >= this.idsPerAdFrom, this.#idKey, this.ids, 4 * i);
    const cellHash = hashCell(adHash, country);
    this.cellHashes[i] = cellHash;
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
    this.persons.add(i, reader, cellHash, appendedAt);
  }

  /** Brings the memory that the clicks will need into the cache. Most of them belong to the given window. */
  prefetch({ ids, cells, validity }: ClickWindow): void {
    this.prefetched = ids.prefetch(this.ids, this.size) + cells.prefetch(this.cellHashes, this.size);
    if (validity !== undefined) this.prefetched += validity.prefetch(this.persons, this.size);
  }
}
