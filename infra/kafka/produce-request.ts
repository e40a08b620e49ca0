/**
 * Encodes the Produce request and decodes its answer, version 7 (Kafka 2.1 and later), in one pass, because the size is
 * computed first.
 *
 * kafkajs nests an encoder for each level of the request, copies every byte eight times into zeroed buffers of up to
 * twice the size, and computes the checksum byte by byte. With hundreds of MB of rows that cost more than counting the
 * clicks behind them. From an answer kafkajs reports only the first error, although each partition has a result of its
 * own.
 */
import { createRequire } from 'node:module';
import { crc32c } from './crc32c.ts';
import type { OutgoingRecord } from './outgoing-record.ts';
import type { RequestBody } from './request-frame.ts';

const require = createRequire(import.meta.url);

/** The part of kafkajs' encoder that is used, for the small pieces. */
interface Encoder {
  readonly offset: number;
  readonly buffer: Buffer;
  writeInt8(value: number): Encoder;
  writeInt16(value: number): Encoder;
  writeInt32(value: number): Encoder;
  writeUInt32(value: number): Encoder;
  writeInt64(value: number | { toString(): string }): Encoder;
  writeString(value: string | null): Encoder;
  writeVarInt(value: number): Encoder;
  writeVarIntBytes(value: Bytes | null | undefined): Encoder;
  writeVarIntArray(encoders: readonly Encoder[]): Encoder;
}
const Encoder: new (size?: number) => Encoder = require('kafkajs/src/protocol/encoder.js');
const header: (header: {
  key: string;
  value: Bytes;
}) => Encoder = require('kafkajs/src/protocol/recordBatch/header/v0/index.js');
const transactionalBit = 16;

type Bytes = Buffer | string;

/** Records that become one record batch: all of them are appended, or none. */
export interface ProduceBatch {
  readonly topic: string;
  readonly partition: number;
  readonly producer: ProducerIdentity;
  /** The number of the first record; the others follow. It is -1 when the producer has no identity. */
  readonly firstSequence: number;
  readonly records: readonly OutgoingRecord[];
}

/** By this the brokers recognize a batch that they already have. Without an identity, `producerId` is -1. */
export interface ProducerIdentity {
  readonly producerId: string;
  readonly producerEpoch: number;
}

export const noIdentity: ProducerIdentity = { producerId: '-1', producerEpoch: -1 };

export interface ProduceRequest {
  readonly acks: -1 | 1 | 0;
  /** How long the leader waits for its replicas. */
  readonly timeoutMs: number;
  readonly transactionalId: string | undefined;
  /** At most one batch per partition. */
  readonly batches: readonly ProduceBatch[];
}

export interface ProduceResult {
  readonly topic: string;
  readonly partition: number;
  /** 0 means appended. */
  readonly errorCode: number;
  /** By the clock of the broker (epoch ms); -1 where the topic takes the times of its writers. */
  readonly appendedAt: number;
}

/** Encodes the request without its header. */
export function encodeProduce({ acks, timeoutMs, transactionalId, batches }: ProduceRequest): RequestBody {
  const topics = Map.groupBy(batches, ({ topic }) => topic);
  const pieces = new Pieces();
  pieces.add(
    new Encoder()
      .writeString(transactionalId ?? null)
      .writeInt16(acks)
      .writeInt32(timeoutMs)
      .writeInt32(topics.size),
  );
  for (const [topic, ofTopic] of topics) {
    pieces.add(new Encoder().writeString(topic).writeInt32(ofTopic.length));
    for (const batch of ofTopic) addBatch(pieces, batch, transactionalId !== undefined);
  }
  return pieces;
}

/** @throws RangeError when the answer is shorter than it says */
export function decodeProduced(answer: Buffer): ProduceResult[] {
  const results: ProduceResult[] = [];
  let at = 0;
  const int32 = () => {
    at += 4;
    return answer.readInt32BE(at - 4);
  };
  for (let topics = int32(); topics > 0; topics--) {
    const length = answer.readInt16BE(at);
    const topic = answer.toString('utf8', at + 2, at + 2 + length);
    at += 2 + length;
    for (let partitions = int32(); partitions > 0; partitions--) {
      const partition = int32();
      const appendedAt = Number(answer.readBigInt64BE(at + appendTimeAt));
      results.push({ topic, partition, errorCode: answer.readInt16BE(at), appendedAt });
      at += resultBytes;
    }
  }
  return results;
}

/** After a partition's number: error, base offset, append time, start of the log. */
const resultBytes = 2 + 8 + 8 + 8;
const appendTimeAt = 2 + 8;

/** The bytes of a batch before its checksum and what that covers, and those before its length and what that counts. */
const beforeChecked = 21;
const beforeCounted = 12;

function addBatch(
  to: Pieces,
  { partition, producer, firstSequence, records: sent }: ProduceBatch,
  inTransaction: boolean,
) {
  const now = Date.now();
  const records = new Pieces();
  for (const [i, record] of sent.entries()) addRecord(records, record, i);
  const checked = new Encoder()
    .writeInt16(inTransaction ? transactionalBit : 0)
    .writeInt32(sent.length - 1)
    .writeInt64(now)
    .writeInt64(now)
    .writeInt64(producer.producerId)
    .writeInt16(producer.producerEpoch)
    .writeInt32(firstSequence)
    .writeInt32(sent.length);
  const length = beforeChecked + checked.offset + records.length;
  to.add(new Encoder().writeInt32(partition).writeInt32(length));
  const head = new Encoder()
    .writeInt64(0)
    .writeInt32(length - beforeCounted)
    .writeInt32(0)
    .writeInt8(2);
  to.add(head.writeUInt32(crc32c([checked.buffer, ...records.pieces])));
  to.add(checked);
  to.append(records);
}

function addRecord(to: Pieces, { key, value, headers = {} }: OutgoingRecord, offsetDelta: number): void {
  const body = value === null ? undefined : Buffer.isBuffer(value) ? value : Buffer.from(value);
  const names = Object.entries(headers).flatMap(([key, values]) =>
    [values].flat().map(value => header({ key, value })),
  );
  // The attributes and the time difference. Neither is in use.
  const head = new Encoder().writeInt8(0).writeVarInt(0).writeVarInt(offsetDelta).writeVarIntBytes(key);
  head.writeVarInt(body?.length ?? -1);
  const tail = new Encoder().writeVarIntArray(names);
  const length = head.offset + (body?.length ?? 0) + tail.offset;
  to.add(new Encoder(8).writeVarInt(length));
  to.add(head);
  if (body) to.push(body);
  to.add(tail);
}

/** Buffers that will lie one behind the other. */
class Pieces implements RequestBody {
  readonly pieces: Buffer[] = [];
  length = 0;

  get buffer(): Buffer {
    return Buffer.concat(this.pieces, this.length);
  }

  add(encoder: Encoder): void {
    this.push(encoder.buffer);
  }

  push(piece: Buffer): void {
    this.pieces.push(piece);
    this.length += piece.length;
  }

  append(others: Pieces): void {
    for (const piece of others.pieces) this.push(piece);
  }
}
