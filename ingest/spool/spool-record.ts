/**
 * Defines a record of the spool: four bytes that begin it, its length, a CRC-32 of length and text, and the text, which is
 * one click line. A text is UTF-8, so it can never contain the first of the four bytes.
 *
 * What cannot be read is skipped up to the next record that can. A process or machine that ended while it wrote leaves a
 * torn record at the end. A disk that has lost a block leaves one in the middle, with good ones behind it.
 */
import { crc32 } from 'node:zlib';

/** The last byte is the version of the form. */
const begin = Buffer.from([0xff, 0x41, 0x43, 0x01]);
const headBytes = begin.length + 8;
/** A click line has at most some 1,500 bytes. */
const maxTextBytes = 64 << 10;

export function spoolRecord(text: string): Buffer {
  const length = Buffer.byteLength(text);
  if (length === 0 || length > maxTextBytes) throw new RangeError(`a spool record cannot have ${length} bytes`);
  const record = Buffer.allocUnsafe(headBytes + length);
  begin.copy(record);
  record.writeUInt32LE(length, begin.length);
  record.write(text, headBytes);
  record.writeUInt32LE(checksumOf(record, 0, length), begin.length + 4);
  return record;
}

export interface SpooledTexts {
  readonly texts: readonly string[];
  /** Bytes that belong to no whole record. */
  readonly unreadableBytes: number;
  /** Where the next texts begin, or the number of bytes if there are none. */
  readonly end: number;
}

/** Reads at most so many texts from a place on. */
export function readSpool(bytes: Buffer, from: number, most: number): SpooledTexts {
  const texts: string[] = [];
  let unreadableBytes = 0;
  let at = from;
  while (at < bytes.length && texts.length < most) {
    const length = lengthAt(bytes, at);
    if (length > 0) {
      texts.push(bytes.toString('utf8', at + headBytes, at + headBytes + length));
      at += headBytes + length;
      continue;
    }
    const next = bytes.indexOf(begin, at + 1);
    const skippedTo = next === -1 ? bytes.length : next;
    unreadableBytes += skippedTo - at;
    at = skippedTo;
  }
  return { texts, unreadableBytes, end: at };
}

/** Returns the length of the text of the record at this place, or 0 if there is no whole record. */
function lengthAt(bytes: Buffer, at: number): number {
  if (at + headBytes > bytes.length || bytes.compare(begin, 0, begin.length, at, at + begin.length) !== 0) return 0;
  const length = bytes.readUInt32LE(at + begin.length);
  if (length > maxTextBytes || at + headBytes + length > bytes.length) return 0;
  return checksumOf(bytes, at, length) === bytes.readUInt32LE(at + begin.length + 4) ? length : 0;
}

function checksumOf(bytes: Buffer, at: number, length: number): number {
  const ofLength = crc32(bytes.subarray(at + begin.length, at + begin.length + 4));
  return crc32(bytes.subarray(at + headBytes, at + headBytes + length), ofLength);
}
