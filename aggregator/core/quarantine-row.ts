/** Builds the row that keeps a line that was not counted: the whole line, the reason and its place in the log. */
import type { RecordReader } from '../../ingest/record-reader.ts';
import type { QuarantineReason, QuarantineRow } from '../ad-minute.ts';

export interface Verdict {
  readonly partition: number;
  readonly offset: number;
  /** The number of the line in its record. */
  readonly line: number;
  readonly appendedAt: number;
  readonly reason: QuarantineReason;
  readonly detail: string;
}

/** Builds the row of the line at which `reader` is. */
export function quarantineRow(
  reader: RecordReader,
  { partition, offset, line, appendedAt, reason, detail }: Verdict,
): QuarantineRow {
  const text = (start: number, end: number) => (reader.ok ? decoder.decode(reader.bytes.subarray(start, end)) : '');
  return {
    partition,
    offset,
    line,
    reason,
    detail,
    appended_at: appendedAt,
    ad_id: text(reader.adIdStart, reader.adIdEnd),
    event_id: text(reader.eventIdStart, reader.eventIdEnd),
    clicked_at: reader.ok ? reader.clickedAt : 0,
    raw: rawOf(reader.value.subarray(reader.lineStart, reader.lineEnd)),
  };
}

const decoder = new TextDecoder();
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function rawOf(line: Uint8Array): string {
  try {
    return strictDecoder.decode(line);
  } catch {
    return `base64:${Buffer.from(line).toString('base64')}`;
  }
}
