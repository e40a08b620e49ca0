/**
 * Pure: divides what a fetch has brought into parts of few records, each of which is as a fetch of its own would be.
 *
 * A fetch brings a megabyte, for example 3,000 API keys, which take tens of milliseconds to read. In a process that takes
 * requests, nobody would be answered meanwhile, again and again until a long log is read.
 */
import type { LogRecord } from './record-batch.ts';

/** The result of one fetch: the requested offset, the next offset to request, and the records between them. */
export interface ReadRecords {
  readonly fetchedOffset: number;
  readonly nextOffset: number;
  readonly records: Iterable<LogRecord>;
}

/** Records are read only when their part is asked for. */
export function* partsOf({ fetchedOffset, nextOffset, records }: ReadRecords): Generator<ReadRecords> {
  let from = fetchedOffset;
  let part: LogRecord[] = [];
  let bytes = 0;
  for (const record of records) {
    const length = record.value?.length ?? 0;
    if (part.length === mostRecords || (part.length > 0 && bytes + length > mostBytes)) {
      yield { fetchedOffset: from, nextOffset: record.offset, records: part };
      from = record.offset;
      part = [];
      bytes = 0;
    }
    part.push(record);
    bytes += length;
  }
  yield { fetchedOffset: from, nextOffset, records: part };
}

/** A larger record is a part of its own. */
const mostBytes = 64 << 10;
const mostRecords = 100;
