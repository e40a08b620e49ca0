/**
 * Counts the clicks of one partition: it processes the records of the log and returns rows.
 *
 * It is deterministic: its output after offset C depends only on the records before C. It does not depend on when they
 * came, in which batches they came, or how often the aggregator was started again. It has no clock: time moves with the
 * records.
 *
 * Invariants, also checked in tests:
 * - The watermark never goes back.
 * - received = counted + duplicates + quarantined, and of those counted, `invalid` are invalid.
 * - Nothing is added to a window once it is final.
 * - A new instance that is made from the checkpoint at C, and is given the records from its `restoreFrom` to C, has the
 *   same state as this one at C.
 */
import { isFuture } from '../../ingest/click.ts';
import { RecordReader } from '../../ingest/record-reader.ts';
import { noRules, type RulesAt } from '../../ingest/validity/rules.ts';
import type { QuarantineReason } from '../ad-minute.ts';
import { Acknowledgements, type AckState } from './acknowledgements.ts';
import type { AggregatorSettings } from './aggregator-settings.ts';
import { type Checkpoint, progressOf, restorePoint, type Totals } from './checkpoint.ts';
import { ClickGroup } from './click-group.ts';
import { ClickWindow } from './click-window.ts';
import type { Output } from './output.ts';
import { Quarantine } from './quarantine.ts';
import { RowWriter } from './row-writer.ts';
import { SpareTables } from './spare-tables.ts';
import { finalUntil, isFinal, windowStartOf } from './time.ts';
import { Watermark } from './watermark.ts';

export class PartitionAggregator {
  readonly #settings: AggregatorSettings;
  readonly #rulesAt: RulesAt;
  readonly #watermark: Watermark;
  readonly #reader: RecordReader;
  readonly #rows: RowWriter;
  readonly #windows = new Map<number, ClickWindow>();
  /** Final windows with changes that are not written yet. */
  #closedWindows: ClickWindow[] = [];
  readonly #spare = new SpareTables();
  /** The watermark at which the next window becomes final. */
  #nextFinalAt = Number.POSITIVE_INFINITY;
  #current: ClickWindow | undefined;
  #position: number;
  /** The offset of the record of the last counted click, and the watermark just before that record. */
  #lastOffset = -1;
  #watermarkBefore = 0;
  #appendedAt = 0;
  readonly #quarantine: Quarantine;
  #pendingLines = 0;
  #received = 0;
  #counted = 0;
  #duplicates = 0;
  #quarantinedLines = 0;
  #invalid = 0;
  readonly #from: Checkpoint;
  readonly #group: ClickGroup;
  #acks: Acknowledgements;

  /**
   * Starts at `from.restoreFrom`. If records from there on were processed before, `endRestore()` must be called after
   * them.
   */
  constructor(settings: AggregatorSettings, from: Checkpoint) {
    this.#settings = settings;
    this.#rulesAt = settings.rulesAt ?? (() => noRules);
    this.#from = from;
    this.#watermark = new Watermark(settings.outOfOrdernessMs, from.watermarkAtRestoreFrom);
    this.#reader = new RecordReader(settings.partition);
    this.#quarantine = new Quarantine(settings.partition);
    this.#group = new ClickGroup(settings.hashSeed, from.idsPerAdFrom ?? Number.POSITIVE_INFINITY, this.#rulesAt);
    this.#rows = new RowWriter(settings.partition);
    this.#position = from.restoreFrom;
    this.#acks = new Acknowledgements(from.acks);
  }

  /** The offset of the next record. */
  get position(): number {
    return this.#position;
  }

  get watermark(): number {
    this.flush();
    return this.#watermark.value;
  }

  get totals(): Totals {
    this.flush();
    return {
      received: this.#received,
      counted: this.#counted,
      duplicates: this.#duplicates,
      quarantined: this.#quarantinedLines,
      invalid: this.#invalid,
    };
  }

  get acks(): AckState {
    return this.#acks.state;
  }

  /** Lines and bytes that wait for the next `drain`. They bound a transaction. */
  get pending(): { readonly lines: number; readonly quarantineBytes: number } {
    return { lines: this.#pendingLines, quarantineBytes: this.#quarantine.bytes };
  }

  get state(): { readonly windows: number; readonly ids: number; readonly bytes: number } {
    this.flush();
    const windows = [...this.#windows.values()];
    return {
      windows: windows.length,
      ids: windows.reduce((sum, window) => sum + window.ids.size, 0),
      bytes: windows.reduce((sum, window) => sum + window.byteLength, this.#spare.byteLength),
    };
  }

  /**
   * Processes the next record, whose value is `bytes[start, end)`. `offset` is at least `position`; gaps (control
   * records) hold no clicks. A record without lines is a tick: only its append time moves the watermark. `acks` is the
   * record's header of acknowledgements (ingest/ack-chain.ts), if it has one.
   *
   * Clicks are counted in groups, so the bytes must not change until `flush`. Everything that returns state flushes
   * first.
   */
  process(
    offset: number,
    appendedAt: number,
    bytes: Uint8Array | null,
    start?: number,
    end?: number,
    acks?: string,
  ): void {
    if (offset < this.#position) throw new RangeError(`offset ${offset} lies before position ${this.#position}`);
    const reader = this.#reader;
    const group = this.#group;
    reader.open(offset, appendedAt, bytes, start, end);
    if (reader.value !== group.value) this.flush();
    while (reader.next()) {
      const isCanonical = reader.ok && reader.parsed === undefined;
      if (!isCanonical) this.flush();
      if (reader.ok) group.add(reader, offset, appendedAt);
      else {
        this.#quarantine.addMalformed(reader, offset, appendedAt);
        this.#received++;
        this.#quarantinedLines++;
      }
      if (!isCanonical || group.isFull) this.flush();
    }
    if (reader.lineIndex === -1) {
      this.flush();
      this.#advanceWatermark(appendedAt, appendedAt);
    }
    if (acks !== undefined) this.#acks.process(acks, reader.lineIndex + 1, appendedAt);
    this.#pendingLines += reader.lineIndex + 1;
    this.#appendedAt = appendedAt;
    this.#position = offset + 1;
  }

  /**
   * Counts the clicks that wait in the group, in the order of the log. After this, no bytes that were given to
   * `process` are read.
   */
  flush(): void {
    const group = this.#group;
    if (group.size === 0) return;
    if (this.#current) group.prefetch(this.#current);
    this.#received += group.size;
    for (let i = 0; i < group.size; i++) this.#processClick(i);
    group.size = 0;
  }

  /** Skips offsets that hold no records. */
  advanceTo(position: number): void {
    if (position > this.#position) this.#position = position;
  }

  /** Returns everything that has changed since the last call. */
  drain(): Output {
    this.flush();
    const version = this.#position;
    const changed = [...this.#closedWindows, ...this.#windows.values()].filter(({ cells }) => cells.changedCount > 0);
    const isJudged = changed.some(({ validity }) => validity !== undefined);
    for (const window of changed) this.#rows.write(window, version, isJudged);
    for (const window of this.#closedWindows) this.#spare.release(window);
    this.#closedWindows = [];
    const { chunks, rows } = this.#rows.drain();
    const quarantined = this.#quarantine.drain();
    this.#pendingLines = 0;
    const checkpoint = this.#checkpoint();
    return {
      position: version,
      checkpoint,
      rowChunks: chunks,
      isJudged,
      rows,
      quarantined,
      progress: progressOf(checkpoint, { ...this.#settings, position: version, appendedAt: this.#appendedAt }),
    };
  }

  /** Ends a restore at the committed position. What was read again was written before, and is not written again. */
  endRestore(): void {
    const { totals, watermark, acks, idsPerAdFrom } = this.#from;
    this.drain();
    // The open windows were begun by the older rule, so they also end by it.
    if (idsPerAdFrom === undefined) this.#group.idsPerAdFrom = this.#endOfOpen();
    this.#received = totals.received;
    this.#counted = totals.counted;
    this.#duplicates = totals.duplicates;
    this.#quarantinedLines = totals.quarantined;
    this.#invalid = totals.invalid;
    // The checkpoint holds the whole state of acknowledgements, so records that were read again must not be counted
    // twice.
    this.#acks = new Acknowledgements(acks);
    if (this.#watermark.raise(watermark)) this.#closeFinalWindows();
  }

  /** Counts click `i` of the group. */
  #processClick(i: number): void {
    const group = this.#group;
    const clickedAt = group.clickedAt[i]!;
    const appendedAt = group.appendedAt[i]!;
    const offset = group.offsets[i]!;
    if (offset !== this.#lastOffset) {
      this.#lastOffset = offset;
      this.#watermarkBefore = this.#watermark.value;
    }
    if (isFuture(clickedAt, appendedAt)) {
      this.#refuse('future', 'clicked_at is more than 5 min after the append time', i);
    } else {
      const window = this.#windowOf(windowStartOf(clickedAt), offset);
      if (window === undefined) this.#refuse('too_late', 'the minute of clicked_at is final', i);
      else this.#count(window, i);
    }
    // A click that is too late does not move the watermark. In a restore it may, because it was not too late when it
    // first came.
    this.#advanceWatermark(clickedAt, appendedAt);
  }

  #count({ ids, cells, start, end, validity }: ClickWindow, i: number): void {
    const { view, adStarts, adEnds, countries, cellHashes, clickedAt, persons } = this.#group;
    const cell = cells.cellOf(view, adStarts[i]!, adEnds[i]!, countries[i]!, cellHashes[i]!);
    if (ids.add(this.#group.ids, 4 * i)) {
      cells.addClick(cell, end <= this.#watermark.value);
      this.#counted++;
      if (validity?.judge(cells, cell, persons, this.#group.ids, i, clickedAt[i]! - start)) this.#invalid++;
    } else {
      cells.addDuplicate(cell);
      this.#duplicates++;
      if (validity?.judgeAgain(cells, cell, persons, this.#group.ids, i, clickedAt[i]! - start)) this.#invalid--;
    }
  }

  /** Returns undefined if the window is final. */
  #windowOf(start: number, offset: number): ClickWindow | undefined {
    if (this.#current?.start === start) return this.#current;
    let window = this.#windows.get(start);
    if (window === undefined) {
      if (this.#isFinal(start)) return undefined;
      const tables = this.#spare.acquire([...this.#windows.values()], this.#rulesAt(start));
      window = new ClickWindow(start, offset, this.#watermarkBefore, tables);
      this.#windows.set(start, window);
      this.#nextFinalAt = Math.min(this.#nextFinalAt, window.end + this.#settings.allowedLatenessMs);
    }
    this.#current = window;
    return window;
  }

  #isFinal(start: number): boolean {
    return start < this.#from.finalUntil || isFinal(start, this.#watermark.value, this.#settings.allowedLatenessMs);
  }

  #advanceWatermark(eventTime: number, appendedAt: number): void {
    if (this.#watermark.observe(eventTime, appendedAt) && this.#watermark.value >= this.#nextFinalAt)
      this.#closeFinalWindows();
  }

  /** Closes the windows that have become final. */
  #closeFinalWindows(): void {
    const { allowedLatenessMs } = this.#settings;
    this.#nextFinalAt = Number.POSITIVE_INFINITY;
    this.#current = undefined;
    for (const window of this.#windows.values()) {
      if (this.#isFinal(window.start)) {
        this.#windows.delete(window.start);
        if (window.cells.changedCount > 0) this.#closedWindows.push(window);
        else this.#spare.release(window);
      } else {
        this.#nextFinalAt = Math.min(this.#nextFinalAt, window.end + allowedLatenessMs);
      }
    }
  }

  /** The first minute in which no click was counted. */
  #endOfOpen(): number {
    return Math.max(this.#from.finalUntil, ...Array.from(this.#windows.values(), window => window.end));
  }

  #refuse(reason: QuarantineReason, detail: string, i: number): void {
    this.#quarantine.addClick(this.#group, i, this.#reader, reason, detail);
    this.#quarantinedLines++;
  }

  #checkpoint(): Checkpoint {
    const { totals, watermark } = this;
    const reported = Math.max(this.#from.finalUntil, finalUntil(watermark, this.#settings.allowedLatenessMs));
    const { acks } = this;
    const idsPerAdFrom = this.#group.idsPerAdFrom;
    return {
      ...restorePoint(this.#windows.values(), this),
      watermark,
      finalUntil: reported,
      totals,
      idsPerAdFrom,
      acks,
    };
  }
}
