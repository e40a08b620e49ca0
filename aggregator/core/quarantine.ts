/** The lines of one partition that were not counted, until they are written. */
import { RecordReader } from '../../ingest/record-reader.ts';
import type { QuarantineReason, QuarantineRow } from '../ad-minute.ts';
import type { ClickGroup } from './click-group.ts';
import { quarantineRow } from './quarantine-row.ts';

export class Quarantine {
  readonly #partition: number;
  /** For a line that the aggregator's reader has left behind. */
  readonly #rereader: RecordReader;
  #rows: QuarantineRow[] = [];
  #bytes = 0;

  constructor(partition: number) {
    this.#partition = partition;
    this.#rereader = new RecordReader(partition);
  }

  /** Of the lines that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The line at which `reader` stands, which is no click. */
  addMalformed(reader: RecordReader, offset: number, appendedAt: number): void {
    this.#add(reader, 'malformed', reader.problem, { offset, line: reader.lineIndex, appendedAt });
  }

  /** Click `i` of the group; `reader` stands at it if it is not canonical. */
  addClick(group: ClickGroup, i: number, reader: RecordReader, reason: QuarantineReason, detail: string): void {
    const place = { offset: group.offsets[i]!, line: group.lineIndexes[i]!, appendedAt: group.appendedAt[i]! };
    this.#add(group.isParsed ? reader : this.#readAgain(group, i), reason, detail, place);
  }

  /** All that wait. */
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

/** What a row takes beside its line. */
const besideRaw = 200;
