/**
 * Divides records into sends. The records of one send for one partition become one record batch. The size of a send
 * keeps that batch far below the topics' `max.message.bytes`, and keeps the request just below a power of two, to which
 * kafkajs rounds up its buffers.
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

/** Returns sends of at most `sendBytes`, or of one record, in order. */
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
