/**
 * Reads a record batch as it is in the log (format 2, since Kafka 0.11) and in a fetch answer. Its records are read in
 * place, one after another. kafkajs creates about twenty objects for each record, many of them big integers, and with
 * one click per record that costs more than counting the click.
 */

/** A record of the log. On our topics `timestamp` is the broker's append time, in epoch ms. */
export interface LogRecord {
  readonly offset: number;
  readonly timestamp: number;
  readonly value: Buffer | null;
  /** The value once more, as `bytes[valueStart, valueEnd)` of the batch's bytes, without an object of its own. */
  readonly bytes?: Buffer;
  readonly valueStart?: number;
  readonly valueEnd?: number;
  readonly headers?: Headers;
}

export type Headers = Readonly<Record<string, Buffer | string | (Buffer | string)[] | undefined>>;

/** The bytes of a batch before its records, and where parts of it begin. */
const headerBytes = 61;
const lengthAt = 8;
const magicAt = 16;
const attributesAt = 21;
const lastOffsetDeltaAt = 23;
const firstTimestampAt = 27;
const maxTimestampAt = 35;
const producerIdAt = 43;
const countAt = 57;
/** The length of a batch counts what comes after the length. */
const bytesBeforeLengthCounts = lengthAt + 4;

const codecBits = 0x07;
const logAppendTimeBit = 0x08;
const transactionalBit = 0x10;
const controlBit = 0x20;

/** Returns the whole batches in the bytes that a fetch returned for a partition. The last one may be cut off. */
export function splitBatches(b: Buffer): Buffer[] {
  const batches: Buffer[] = [];
  for (let at = 0; b.length - at >= headerBytes; ) {
    const end = at + bytesBeforeLengthCounts + b.readInt32BE(at + lengthAt);
    if (end > b.length) break;
    batches.push(b.subarray(at, end));
    at = end;
  }
  return batches;
}

/** Returns the number of the codec that has compressed the batch's records. 0 means none. */
export function codecOf(batch: Buffer): number {
  return batch.readInt16BE(attributesAt) & codecBits;
}

/** Returns the compressed part of a batch. */
export function recordsOf(batch: Buffer): Buffer {
  return batch.subarray(headerBytes);
}

export class RecordBatch implements Iterable<LogRecord> {
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly isControl: boolean;
  readonly isTransactional: boolean;
  readonly producerId: string;
  readonly #count: number;
  readonly #firstTimestamp: number;
  /** The time of all records, when the broker sets it. */
  readonly #appendTime: number | undefined;
  readonly #bytes: Buffer;
  readonly #recordsAt: number;

  /** `decompressed` is the records of a compressed batch. */
  constructor(batch: Buffer, decompressed?: Buffer) {
    const magic = batch[magicAt];
    if (magic !== 2)
      throw new Error(`record batch in format ${magic}: must be format 2, which Kafka writes since 0.11`);
    const attributes = batch.readInt16BE(attributesAt);
    this.firstOffset = Number(batch.readBigInt64BE(0));
    this.lastOffset = this.firstOffset + batch.readInt32BE(lastOffsetDeltaAt);
    this.isControl = (attributes & controlBit) !== 0;
    this.isTransactional = (attributes & transactionalBit) !== 0;
    this.producerId = String(batch.readBigInt64BE(producerIdAt));
    this.#count = batch.readInt32BE(countAt);
    this.#firstTimestamp = Number(batch.readBigInt64BE(firstTimestampAt));
    const hasAppendTime = (attributes & logAppendTimeBit) !== 0;
    this.#appendTime = hasAppendTime ? Number(batch.readBigInt64BE(maxTimestampAt)) : undefined;
    this.#bytes = decompressed ?? batch;
    this.#recordsAt = decompressed === undefined ? headerBytes : 0;
  }

  *[Symbol.iterator](): Iterator<FetchedRecord> {
    const cursor = new Cursor(this.#bytes, this.#recordsAt);
    for (let i = 0; i < this.#count; i++) yield this.#next(cursor);
  }

  /** The key of the first record. By it kafkajs recognizes the kind of a control batch. */
  get firstKey(): Buffer | null {
    if (this.#count === 0) return null;
    const cursor = new Cursor(this.#bytes, this.#recordsAt);
    cursor.varint();
    cursor.at++;
    cursor.varint();
    cursor.varint();
    return cursor.take(cursor.varint());
  }

  #next(cursor: Cursor): FetchedRecord {
    const length = cursor.varint();
    const end = cursor.at + length;
    cursor.at++; // The record's attributes are not in use.
    const timestampDelta = cursor.varint();
    const offset = this.firstOffset + cursor.varint();
    cursor.skip(cursor.varint()); // The key.
    const valueLength = cursor.varint();
    const valueAt = cursor.at;
    cursor.skip(valueLength);
    // The number of headers takes at least one byte.
    if (!(cursor.at < end && end <= this.#bytes.length)) throw new Error(`damaged record, offset ${offset}`);
    const record = new FetchedRecord(
      offset,
      this.#appendTime ?? this.#firstTimestamp + timestampDelta,
      this.#bytes,
      valueAt,
      valueLength,
      this.#bytes[cursor.at] !== 0,
    );
    cursor.at = end;
    return record;
  }
}

/** Reads its value and its headers from the batch when they are needed. */
class FetchedRecord implements LogRecord {
  readonly offset: number;
  readonly timestamp: number;
  readonly bytes: Buffer;
  readonly valueStart: number;
  readonly #valueLength: number;
  readonly #hasHeaders: boolean;

  constructor(
    offset: number,
    timestamp: number,
    batch: Buffer,
    valueAt: number,
    valueLength: number,
    hasHeaders: boolean,
  ) {
    this.offset = offset;
    this.timestamp = timestamp;
    this.bytes = batch;
    this.valueStart = valueAt;
    this.#valueLength = valueLength;
    this.#hasHeaders = hasHeaders;
  }

  /** The place where the value begins, if it is null. */
  get valueEnd(): number {
    return this.valueStart + Math.max(0, this.#valueLength);
  }

  get value(): Buffer | null {
    return new Cursor(this.bytes, this.valueStart).take(this.#valueLength);
  }

  get headers(): Headers {
    if (!this.#hasHeaders) return noHeaders;
    const cursor = new Cursor(this.bytes, this.valueStart);
    cursor.skip(this.#valueLength);
    // It has no prototype, because a header may have the name of an object's property.
    const headers: Record<string, Buffer | Buffer[]> = Object.create(null);
    for (let left = cursor.varint(); left > 0; left--) {
      const name = String(cursor.take(cursor.varint()));
      const value = cursor.take(cursor.varint());
      if (value === null) continue;
      const before = headers[name];
      headers[name] = before === undefined ? value : [before, value].flat();
    }
    return headers;
  }
}

const noHeaders: Headers = Object.freeze(Object.create(null));

/** Reads numbers of variable length, and what has such a length. The length -1 stands for null. */
class Cursor {
  at: number;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  /** Zigzag, seven bits per byte, low bits first. Exact up to 2^53. */
  varint(): number {
    const bytes = this.#bytes;
    let byte = bytes[this.at++]!;
    if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1);
    let zigzag = byte & 0x7f;
    for (let scale = 0x80; byte >= 0x80; scale *= 0x80) {
      byte = bytes[this.at++]!;
      zigzag += (byte & 0x7f) * scale;
    }
    return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
  }

  skip(length: number): void {
    if (length > 0) this.at += length;
  }

  take(length: number): Buffer | null {
    if (length < 0) return null;
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }
}
