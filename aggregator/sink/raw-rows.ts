/**
 * The rows of `click_raw` in records of topic `clicks`. Canonical lines are taken over as bytes; a line in another form
 * is written canonically first. What the aggregator does not take for a click (no JSON, no ad) or puts off as `future`
 * is left out here by the same rules: it stands in quarantine, which only the aggregator writes.
 */

import type { LogRecord } from '../../infra/kafka/record-batch.ts';
import { formatLine, isFuture } from '../../ingest/click.ts';
import { RecordReader } from '../../ingest/record-reader.ts';

/** NDJSON, in pieces to be concatenated; every line ends with a newline. */
export function rawRows(partition: number, records: Iterable<LogRecord>): Buffer[] {
  const rows: Buffer[] = [];
  const reader = new RecordReader(partition);
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
      if (isRow && reader.parsed === undefined) {
        // Blank lines are passed over by the reader, and would be refused by the store.
        if (reader.lineStart !== runEnd + 1) endRun();
        if (runStart === -1) runStart = reader.lineStart;
        runEnd = reader.lineEnd;
        continue;
      }
      endRun();
      if (isRow && reader.parsed !== undefined) rows.push(Buffer.from(`${formatLine(reader.parsed)}\n`));
    }
    endRun();
  }
  return rows;
}

const newline = Buffer.from('\n');
