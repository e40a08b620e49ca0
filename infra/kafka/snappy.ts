/**
 * Pure: decompresses Snappy, in the two forms in which Kafka has it: blocks with their lengths behind a header, as
 * Java's clients and brokers write it, and one block alone, as other clients do.
 */
import { Output } from './lz-output.ts';

/** Behind it are two numbers of a version, and then the blocks. */
const streamMagic = Buffer.from('\x82SNAPPY\0', 'latin1');
const streamHeaderBytes = streamMagic.length + 8;

/** @throws Error if it is damaged, or would have more than `most` bytes */
export function snappyStream(b: Buffer, most: number): Buffer {
  const out = new Output(most, 4 * b.length);
  if (!b.subarray(0, streamMagic.length).equals(streamMagic)) {
    block(b, out);
    return out.taken();
  }
  for (let at = streamHeaderBytes; at < b.length; ) {
    const length = b.readInt32BE(at);
    at += 4;
    if (length < 0 || at + length > b.length) throw new Error('a Snappy block ends behind the batch');
    block(b.subarray(at, at + length), out);
    at += length;
  }
  return out.taken();
}

/** The length of the result, then literals and copies of what was written before, within the block. */
function block(b: Buffer, out: Output): void {
  let [length, at] = [0, 0];
  for (let bits = 0; ; bits += 7) {
    const byte = b.readUInt8(at++);
    if (bits > 28) throw new Error('the length of a Snappy block has more than 32 bits');
    length += (byte & 0x7f) * 2 ** bits;
    if (byte < 0x80) break;
  }
  const begin = out.length;
  while (at < b.length) {
    const tag = b[at++]!;
    const kind = tag & 3;
    if (kind === 0) {
      const bytes = (tag >> 2) - 59;
      const literals = bytes > 0 ? b.readUIntLE(at, bytes) + 1 : (tag >> 2) + 1;
      if (bytes > 0) at += bytes;
      if (at + literals > b.length) throw new Error('the literals of a Snappy block end behind it');
      out.copy(b, at, literals);
      at += literals;
      continue;
    }
    const isShort = kind === 1;
    const copied = isShort ? ((tag >> 2) & 7) + 4 : (tag >> 2) + 1;
    const width = isShort ? 1 : kind === 2 ? 2 : 4;
    const distance = (isShort ? (tag >> 5) << 8 : 0) + b.readUIntLE(at, width);
    at += width;
    if (distance > out.length - begin) throw new Error('a Snappy block refers to what is before it');
    out.repeat(distance, copied);
  }
  if (out.length - begin !== length)
    throw new Error(`a Snappy block has ${out.length - begin} bytes and says ${length}`);
}
