/**
 * Builds the rows of `click_raw` from records of topic `clicks`.
 *
 * Canonical lines are copied as bytes. A line in another form is first written canonically. Lines that the aggregator
 * quarantines as malformed (no JSON, no ad) or as `future` are left out here by the same rules. They are in quarantine,
 * which only the aggregator writes. Clicks of persons who were erased after that are built as they are kept
 * (erased-rows.ts).
 */

import type { LogRecord } from '../../infra/kafka/record-batch.ts';
import { formatLine, isFuture } from '../../ingest/click.ts';
import { RecordReader } from '../../ingest/record-reader.ts';
import { type Erased, erasedClick } from './erased-rows.ts';

/** Returns NDJSON in pieces to be concatenated. Every line ends with a newline. */
export function rawRows(partition: number, records: Iterable<LogRecord>, erased: Erased): Buffer[] {
  const rows: Buffer[] = [];
  const reader = new RecordReader(partition);
  /** Hardly any click is older than the newest erasure, except when the log is read again. */
  const kept = () =>
    reader.clickedAt >= erased.newestUntil
      ? undefined
      : erasedClick(reader.parsed ? formatLine(reader.parsed) : textOf(reader), erased);
  for (const { offset, timestamp: appendedAt, value } of records) {
    if (value === null) continue;
    let runStart = -1;
    let runEnd = -1;
    const endRun = () => {
      if (runStart === -1) return;
      rows.push(value.subarray(runStart, runEnd), newline);
      runStart = -1;
    };
    reader.open(offset, appendedAt, value);
    while (reader.next()) {
      const isRow = reader.ok && !isFuture(reader.clickedAt, appendedAt);
      const changed = isRow ? kept() : undefined;
      if (isRow && changed === undefined && reader.parsed === undefined) {
        // The reader skips blank lines, and ClickHouse would refuse them.
        if (reader.lineStart !== runEnd + 1) endRun();
        if (runStart === -1) runStart = reader.lineStart;
        runEnd = reader.lineEnd;
        continue;
      }
      endRun();
      if (changed !== undefined) rows.push(Buffer.from(`${changed}\n`));
      else if (isRow && reader.parsed !== undefined) rows.push(Buffer.from(`${formatLine(reader.parsed)}\n`));
    }
    endRun();
  }
  return rows;
}

function textOf({ value, lineStart, lineEnd }: RecordReader): string {
  return Buffer.from(value.buffer, value.byteOffset + lineStart, lineEnd - lineStart).toString();
}

const newline = Buffer.from('\n');
