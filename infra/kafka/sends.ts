/**
 * Cuts records into what is sent at a time. What one send has for a partition becomes one record batch: this keeps it
 * far below the topics' `max.message.bytes`, and the request just below a power of two, to which kafkajs rounds up its
 * buffers.
 */
import type { OutgoingRecord } from './outgoing-record.ts';

export interface Send {
  readonly topic: string;
  readonly records: readonly OutgoingRecord[];
}

export interface BinaryRecord extends OutgoingRecord {
  readonly value: Buffer;
}

const sendBytes = (2 << 20) - (32 << 10);

/** Sends of at most `sendBytes`, or of one record, in order. */
export function sendsOf(topic: string, records: readonly BinaryRecord[]): Send[] {
  const sends: { topic: string; records: BinaryRecord[] }[] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const next of records) {
    if (bytes + next.value.length > sendBytes) {
      sends.push({ topic, records: [] });
      bytes = 0;
    }
    sends.at(-1)?.records.push(next);
    bytes += next.value.length;
  }
  return sends;
}
