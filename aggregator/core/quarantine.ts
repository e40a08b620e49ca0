/** Collects the lines of one partition that were not counted, until they are written. */
import { RecordReader } from '../../ingest/record-reader.ts';
import type { QuarantineReason, QuarantineRow } from '../ad-minute.ts';
import type { ClickGroup } from './click-group.ts';
import { quarantineRow } from './quarantine-row.ts';

export class Quarantine {
  readonly #partition: number;
  /** Reads a line again that the aggregator's reader has already passed. */
  readonly #rereader: RecordReader;
  #rows: QuarantineRow[] = [];
  #bytes = 0;

  constructor(partition: number) {
    this.#partition = partition;
    this.#rereader = new RecordReader(partition);
  }

  /** The bytes of the waiting lines. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds the line at which `reader` is, which is not a click. */
  addMalformed(reader: RecordReader, offset: number, appendedAt: number): void {
    this.#add(reader, 'malformed', reader.problem, { offset, line: reader.lineIndex, appendedAt });
  }

  /** Adds click `i` of the group. If the click is not canonical, `reader` is at its line. */
  addClick(group: ClickGroup, i: number, reader: RecordReader, reason: QuarantineReason, detail: string): void {
    const place = { offset: group.offsets[i]!, line: group.lineIndexes[i]!, appendedAt: group.appendedAt[i]! };
    this.#add(group.isParsed ? reader : this.#readAgain(group, i), reason, detail, place);
  }

  /** Returns all waiting lines. */
  drain(): QuarantineRow[] {
    const drained = this.#rows;
    this.#rows = [];
    this.#bytes = 0;
    return drained;
  }

  #readAgain(group: ClickGroup, i: number): RecordReader {
    const reader = this.#rereader;
    reader.open(group.offsets[i]!, group.appendedAt[i]!, group.value, group.lineStarts[i], group.lineEnds[i]);
    reader.next();
    return reader;
  }

  #add(
    reader: RecordReader,
    reason: QuarantineReason,
    detail: string,
    place: { readonly offset: number; readonly line: number; readonly appendedAt: number },
  ): void {
    const row = quarantineRow(reader, { partition: this.#partition, ...place, reason, detail });
    this.#rows.push(row);
    this.#bytes += row.raw.length + besideRaw;
  }
}

/** The bytes of a row without its line. */
const besideRaw = 200;
