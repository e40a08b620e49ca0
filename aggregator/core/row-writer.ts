/**
 * Writes `ad-minute` rows (ad-minute.ts) as lines of bytes, without creating strings for ads and numbers. The rows come
 * in chunks, each small enough for one Kafka record.
 */
import { invalidReasons } from '../../ingest/validity/rules.ts';
import type { ClickWindow } from './click-window.ts';
import type { WindowValidity } from './window-validity.ts';

/** A chunk is closed at the first row that reaches this size. */
const chunkBytes = 256 * 1024;
/** An ad of 128 bytes, ten reasons, and 21 numbers of up to 16 digits fit into this. */
const longestRowBytes = 1_024;

export class RowWriter {
  readonly #partition: number;
  #bytes = new Uint8Array(chunkBytes + longestRowBytes);
  #length = 0;
  #chunks: Uint8Array[] = [];
  #rows = 0;

  constructor(partition: number) {
    this.#partition = partition;
  }

  /** Writes all changed cells of the window, as of log position `version`. With `isJudged`, in the format that says what rules have found. */
  write(window: ClickWindow, version: number, isJudged: boolean): void {
    const head = encoder.encode(`[${window.start / 1000},"`);
    const middle = encoder.encode(`",${this.#partition},${version},`);
    const { cells, validity } = window;
    const rules = encoder.encode(`,${validity?.version ?? 0},`);
    const allValid = isJudged ? encoder.encode(`,${validity?.version ?? 0},0,{}]\n`) : rowEnd;
    cells.drainChanged((arena, adStart, adEnd, country, cell) => {
      this.#copy(head, 0, head.length);
      for (let i = adStart; i < adEnd; i++) this.#bytes[this.#length++] = arena.getUint8(i);
      this.#copy(betweenTexts, 0, betweenTexts.length);
      this.#bytes[this.#length++] = country >> 8;
      this.#bytes[this.#length++] = country & 0xff;
      this.#copy(middle, 0, middle.length);
      this.#number(cells.clicksOf(cell));
      this.#bytes[this.#length++] = comma;
      this.#number(cells.duplicatesOf(cell));
      this.#bytes[this.#length++] = comma;
      this.#number(cells.lateOf(cell));
      if (isJudged && validity !== undefined && validity.invalidOf(cell) > 0) {
        this.#copy(rules, 0, rules.length);
        this.#invalid(validity, cell);
        this.#copy(rowEnd, 0, rowEnd.length);
      } else this.#copy(allValid, 0, allValid.length);
      this.#rows++;
      if (this.#length >= chunkBytes) this.#closeChunk();
    });
  }

  /** Writes how many clicks of the cell are invalid, and by which reasons. */
  #invalid(validity: WindowValidity, cell: number): void {
    this.#number(validity.invalidOf(cell));
    this.#copy(reasonsBegin, 0, reasonsBegin.length);
    let isFirst = true;
    for (let reason = 0; reason < reasonKeys.length; reason++) {
      const clicks = validity.invalidBy(cell, reason);
      if (clicks === 0) continue;
      if (!isFirst) this.#bytes[this.#length++] = comma;
      isFirst = false;
      const key = reasonKeys[reason]!;
      this.#copy(key, 0, key.length);
      this.#number(clicks);
    }
    this.#bytes[this.#length++] = closingBrace;
  }

  /** Returns the chunks that were written since the last call, and their number of rows. */
  drain(): { chunks: Uint8Array[]; rows: number } {
    if (this.#length > 0) this.#closeChunk();
    const drained = { chunks: this.#chunks, rows: this.#rows };
    this.#chunks = [];
    this.#rows = 0;
    return drained;
  }

  #closeChunk(): void {
    this.#chunks.push(this.#bytes.slice(0, this.#length));
    this.#length = 0;
  }

  #copy(from: Uint8Array, start: number, end: number): void {
    const bytes = this.#bytes;
    let at = this.#length;
    for (let i = start; i < end; i++) bytes[at++] = from[i]!;
    this.#length = at;
  }

  #number(value: number): void {
    let digits = 1;
    for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits++;
    let rest = value;
    for (let at = this.#length + digits - 1; at >= this.#length; at--) {
      this.#bytes[at] = 48 + (rest % 10);
      rest = Math.floor(rest / 10);
    }
    this.#length += digits;
  }
}

const encoder = new TextEncoder();
const betweenTexts = encoder.encode('","');
const reasonsBegin = encoder.encode(',{');
const reasonKeys = invalidReasons.map(reason => encoder.encode(`"${reason}":`));
const comma = 0x2c;
const closingBrace = 0x7d;
const rowEnd = encoder.encode(']\n');
