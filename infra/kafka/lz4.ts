/**
 * Pure: decompresses LZ4 frames, one after another, as Kafka's producers and brokers write them. A block may refer to
 * what the blocks before it have written, as some clients do, so all of them have one output.
 */
import { Output } from './lz-output.ts';

const magic = 0x184d2204;
const uncompressedBlock = 0x80000000;

/** @throws Error if it is damaged, or would have more than `most` bytes */
export function lz4Frames(b: Buffer, most: number): Buffer {
  const out = new Output(most, 4 * b.length);
  for (let at = 0; at < b.length; ) at = frame(b, at, out);
  return out.taken();
}

/** Returns where the frame ends. */
function frame(b: Buffer, begin: number, out: Output): number {
  if (b.readUInt32LE(begin) !== magic) throw new Error(`no LZ4 frame at byte ${begin}`);
  const flags = b.readUInt8(begin + 4);
  const [hasBlockChecksum, hasSize, hasChecksum, hasDictionary] = [flags & 0x10, flags & 0x08, flags & 0x04, flags & 1];
  if (flags >> 6 !== 1) throw new Error(`LZ4 frame of version ${flags >> 6}: must be 1`);
  if (hasDictionary) throw new Error('the LZ4 frame needs a dictionary');
  let at = begin + 6 + (hasSize ? 8 : 0) + 1;
  for (;;) {
    const size = b.readUInt32LE(at);
    at += 4;
    if (size === 0) return at + (hasChecksum ? 4 : 0);
    const length = size & ~uncompressedBlock;
    const end = at + length;
    if (end > b.length) throw new Error('an LZ4 block ends behind the batch');
    if ((size & uncompressedBlock) !== 0) out.copy(b, at, length);
    else block(b, at, end, out);
    at = end + (hasBlockChecksum ? 4 : 0);
  }
}

/** Sequences of literals and a match. The last sequence has no match. */
function block(b: Buffer, begin: number, end: number, out: Output): void {
  for (let at = begin; at < end; ) {
    const token = b[at++]!;
    let literals = token >> 4;
    if (literals === 15) for (let more = 255; more === 255; literals += more) more = b.readUInt8(at++);
    if (at + literals > end) throw new Error('the literals of an LZ4 block end behind it');
    out.copy(b, at, literals);
    at += literals;
    if (at === end) return;
    const distance = b.readUInt16LE(at);
    at += 2;
    let length = token & 15;
    if (length === 15) for (let more = 255; more === 255; length += more) more = b.readUInt8(at++);
    out.repeat(distance, length + 4);
  }
}
