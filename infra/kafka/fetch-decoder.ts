/**
 * Lets kafkajs keep the record batches of a fetch whole (record-batch.ts).
 *
 * `decodeBatches` replaces the one function that makes messages from the bytes of a fetch, in all versions of the fetch
 * request, before any of them is used.
 *
 * kafkajs' consumer drops messages before the requested offset, messages of aborted transactions and control records,
 * and reports the last offset. All this works for whole batches too: a batch has one producer, is either control or
 * not, and represents its last record. Only the reported first offset must be corrected, and `recordsFrom` leaves out
 * the records of the first batch that come before the requested offset.
 */
import './request-frame.ts';
import { createRequire } from 'node:module';
import type { KafkaMessage } from 'kafkajs';
import { hold } from './answer-memory.ts';
import { decompress } from './decompress.ts';
import { codecOf, type LogRecord, RecordBatch, recordsOf, splitBatches } from './record-batch.ts';

const require = createRequire(import.meta.url);

/** As far as it is used: its place in the response to a fetch. */
interface Decoder {
  readInt32(): number;
  canReadBytes(length: number): boolean;
  readBytes(length: number): Buffer;
}

interface FetchedMessages {
  readonly fetchedOffset: string;
  readonly messagesWithinOffset: readonly BatchMessage[];
}

/** What kafkajs treats as one message. */
export class BatchMessage {
  readonly batch: RecordBatch;
  /** The bytes that the fetch returned for the partition. They are held until they are released (answer-memory.ts). */
  readonly fetched: Buffer;
  readonly offset: string;
  readonly isControlRecord: boolean;
  readonly batchContext: { readonly producerId: string; readonly inTransaction: boolean };

  constructor(batch: RecordBatch, fetched: Buffer) {
    this.batch = batch;
    this.fetched = fetched;
    this.offset = String(batch.lastOffset);
    this.isControlRecord = batch.isControl;
    this.batchContext = { producerId: batch.producerId, inTransaction: batch.isTransactional };
  }

  /**
   * kafkajs recognizes the marker of an abort by its key. It would mistake a click's record with such a key for one.
   */
  get key(): Buffer | null {
    return this.batch.isControl ? this.batch.firstKey : null;
  }
}

/** Replaces `decodeMessages` of kafkajs. */
export async function decodeBatches(decoder: Decoder): Promise<BatchMessage[]> {
  const length = decoder.readInt32();
  if (length <= 0 || !decoder.canReadBytes(length)) return [];
  const messages: BatchMessage[] = [];
  const fetched = decoder.readBytes(length);
  hold(fetched);
  for (const batch of splitBatches(fetched)) {
    const codec = codecOf(batch);
    const decompressed =
      codec === 0 ? undefined : await decompress(codec, recordsOf(batch), Number(batch.readBigInt64BE(0)));
    messages.push(new BatchMessage(new RecordBatch(batch, decompressed), fetched));
  }
  return messages;
}

/** Returns the records of the batches that kafkajs has passed on, from the requested offset on. */
export function* recordsFrom(
  offset: number,
  messages: readonly { readonly batch: Iterable<LogRecord> }[],
): Generator<LogRecord> {
  for (const { batch } of messages) for (const record of batch) if (record.offset >= offset) yield record;
}

const replaced = require.resolve('kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js');
export const decodeMessagesOfKafkajs: (decoder: Decoder) => Promise<KafkaMessage[]> = require(replaced);
const module = require.cache[replaced];
if (module === undefined) throw new Error(`${replaced} was not found: is this another version of kafkajs?`);
module.exports = decodeBatches;

/**
 * A fetch may begin in the middle of its first batch. By this offset owners see whether it is the one that they
 * requested.
 */
const Batch: {
  prototype: { firstOffset(this: FetchedMessages): string | null };
} = require('kafkajs/src/consumer/batch.js');
Batch.prototype.firstOffset = function () {
  const [first] = this.messagesWithinOffset;
  return first ? String(Math.max(Number(this.fetchedOffset), first.batch.firstOffset)) : null;
};
