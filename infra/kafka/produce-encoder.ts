/**
 * Writes a produce request in one go: its size is reckoned first. kafkajs nests an encoder for each level of the request,
 * copies every byte eight times on the way, into zeroed buffers of up to twice the size, and reckons the checksum byte
 * by byte; with rows by the hundred MB that was more than counting the clicks behind them.
 *
 * It takes the place of kafkajs' function for versions 3 to 7 of the request, before it is used, and leaves to it what
 * we do not send: compressed records and records with times of their own.
 */
import { createRequire } from 'node:module';
import { crc32c } from './crc32c.ts';
import type { RequestBody } from './request-frame.ts';

const require = createRequire(import.meta.url);

/** What is used of kafkajs' encoder, good for the small pieces. */
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

interface Message {
  readonly key?: Buffer | string | null;
  readonly value: Buffer | string | null;
  readonly timestamp?: string;
  readonly headers?: Readonly<Record<string, Bytes | readonly Bytes[]>>;
}

type Bytes = Buffer | string;

interface PartitionData {
  readonly partition: number;
  readonly firstSequence?: number;
  readonly messages: readonly Message[];
}

export interface ProduceRequest {
  readonly acks: number;
  readonly timeout: number;
  readonly transactionalId?: string | null;
  readonly producerId?: { toString(): string };
  readonly producerEpoch?: number;
  readonly compression?: number;
  readonly topicData: readonly { readonly topic: string; readonly partitions: readonly PartitionData[] }[];
}

const replaced = require.resolve('kafkajs/src/protocol/requests/produce/v3/request.js');
export const produceRequestOfKafkajs: (request: ProduceRequest) => { encode(): Promise<RequestBody> } =
  require(replaced);
const module = require.cache[replaced];
if (module === undefined) throw new Error(`${replaced} is not where it was: another version of kafkajs?`);
module.exports = produceRequest;

/** Stands in for kafkajs' function of the same name. */
export function produceRequest(request: ProduceRequest): ReturnType<typeof produceRequestOfKafkajs> {
  const theirs = produceRequestOfKafkajs(request);
  const { compression = 0, topicData } = request;
  const isOurs =
    compression === 0 &&
    topicData.every(({ partitions }) => partitions.every(({ messages }) => messages.every(m => m.timestamp == null)));
  return isOurs ? { ...theirs, encode: async () => encode(request) } : theirs;
}

/** The request but for its head. */
function encode(request: ProduceRequest): RequestBody {
  const { acks, timeout, transactionalId = null, topicData } = request;
  const pieces = new Pieces();
  pieces.add(
    new Encoder().writeString(transactionalId).writeInt16(acks).writeInt32(timeout).writeInt32(topicData.length),
  );
  for (const { topic, partitions } of topicData) {
    pieces.add(new Encoder().writeString(topic).writeInt32(partitions.length));
    for (const data of partitions) addBatch(pieces, request, data);
  }
  return pieces;
}

/** Bytes of a batch before its checksum and what that covers; and before its length and what that counts. */
const beforeChecked = 21;
const beforeCounted = 12;

function addBatch(
  to: Pieces,
  request: ProduceRequest,
  { partition, firstSequence = 0, messages }: PartitionData,
): void {
  const { transactionalId, producerId = -1, producerEpoch = 0 } = request;
  const now = Date.now();
  const records = new Pieces();
  for (const [i, message] of messages.entries()) addRecord(records, message, i);
  const checked = new Encoder()
    .writeInt16(transactionalId ? transactionalBit : 0)
    .writeInt32(messages.length - 1)
    .writeInt64(now)
    .writeInt64(now)
    .writeInt64(producerId)
    .writeInt16(producerEpoch)
    .writeInt32(firstSequence)
    .writeInt32(messages.length);
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

function addRecord(to: Pieces, { key, value, headers = {} }: Message, offsetDelta: number): void {
  const body = value === null ? undefined : Buffer.isBuffer(value) ? value : Buffer.from(value);
  const names = Object.entries(headers).flatMap(([key, values]) =>
    [values].flat().map(value => header({ key, value })),
  );
  // Attributes and the delta of the time, neither of them in use.
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
