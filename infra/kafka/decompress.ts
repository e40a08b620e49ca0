/**
 * Decompresses the records of a batch, in each of the codecs that Kafka knows. We write none, but others decide about
 * that: topic setting `compression.type` (which may be the default of a whole cluster) has the brokers compress what
 * they are sent, and other producers compress by themselves. kafkajs knows only gzip, and ends its consumer at any
 * other batch.
 *
 * A batch may not become larger than `mostBytes`: a few MB can hold gigabytes of the same byte. Checksums of lz4 and
 * snappy are passed over, because the broker has checked that of the whole batch.
 */
import { promisify } from 'node:util';
import { gunzip, zstdDecompress } from 'node:zlib';
import { Corrupt, messageOf } from '../errors.ts';
import { lz4Frames } from './lz4.ts';
import { snappyStream } from './snappy.ts';

/** Of one batch: that of a topic whose records may have 64 MiB (infra/topics.ts), and as much again and more. */
const mostBytes = 256 << 20;

type Decompress = (compressed: Buffer, most: number) => Promise<Buffer>;

/** By the number that a batch has for its codec. */
const codecs: Readonly<Record<number, { readonly name: string; readonly decompress: Decompress }>> = {
  1: { name: 'gzip', decompress: (b, most) => unzip(b, { maxOutputLength: most }) },
  2: { name: 'snappy', decompress: async (b, most) => snappyStream(b, most) },
  3: { name: 'lz4', decompress: async (b, most) => lz4Frames(b, most) },
  4: { name: 'zstd', decompress: (b, most) => unzstd(b, { maxOutputLength: most }) },
};
const [unzip, unzstd] = [promisify(gunzip), promisify(zstdDecompress)];

/**
 * `codec`: what the batch at `offset` has for it, and not 0, which is none. @throws Corrupt if it is not known, or if what
 * was compressed is damaged or too large
 */
export async function decompress(codec: number, compressed: Buffer, offset: number, most = mostBytes): Promise<Buffer> {
  const known = codecs[codec];
  const where = `the record batch at offset ${offset}`;
  if (known === undefined)
    throw new Corrupt(`${where} is compressed by codec ${codec}: must be 1 (gzip), 2 (snappy), 3 (lz4) or 4 (zstd)`);
  try {
    return await known.decompress(compressed, most);
  } catch (error) {
    throw new Corrupt(
      `${where} cannot be decompressed (${known.name}, ${compressed.length} bytes, which must not become more than ${most}): ${messageOf(error)}`,
      { cause: error },
    );
  }
}
