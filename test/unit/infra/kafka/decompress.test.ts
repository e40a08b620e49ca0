/** What was compressed with lz4 and Snappy, in every form that their descriptions allow, becomes what it was. */
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Corrupt } from '../../../../infra/errors.ts';
import { decompress } from '../../../../infra/kafka/decompress.ts';

/** Bytes as they are, or a repetition of earlier ones, which may overlap with itself. */
type Step = { readonly literal: Uint8Array } | { readonly back: number; readonly length: number };
const literal = fc.record({ literal: fc.uint8Array({ minLength: 1, maxLength: 700 }) });
const match = fc.record({ back: fc.integer({ min: 1, max: 3_000 }), length: fc.integer({ min: 4, max: 700 }) });
const steps = fc.array(fc.oneof(literal, match), { maxLength: 30 });

/** Makes the distances fit, and writes down what the steps mean. */
function written(given: readonly Step[], before: readonly number[] = []): { steps: Step[]; bytes: number[] } {
  const all = [...before];
  const fitting: Step[] = [];
  for (const step of given) {
    if ('literal' in step) {
      all.push(...step.literal);
      fitting.push(step);
    } else if (all.length > 0) {
      const back = 1 + (step.back % Math.min(all.length, 60_000));
      for (let i = 0; i < step.length; i++) all.push(all[all.length - back]!);
      fitting.push({ back, length: step.length });
    }
  }
  return { steps: fitting, bytes: all.slice(before.length) };
}

const longer = (more: number) => [...Array<number>(Math.floor(more / 255)).fill(255), more % 255];

/** A match needs literals before it, if only none, and the last sequence has literals alone. */
function lz4Block(given: readonly Step[]): Buffer {
  const out: number[] = [];
  let literals: number[] = [];
  const sequence = (matched?: { back: number; length: number }) => {
    const [many, most] = [literals.length, (matched?.length ?? 4) - 4];
    out.push((Math.min(15, many) << 4) | Math.min(15, most));
    if (many >= 15) out.push(...longer(many - 15));
    out.push(...literals);
    literals = [];
    if (matched === undefined) return;
    out.push(matched.back & 255, matched.back >> 8);
    if (most >= 15) out.push(...longer(most - 15));
  };
  for (const step of given) {
    if ('literal' in step) literals.push(...step.literal);
    else sequence(step);
  }
  sequence();
  return Buffer.from(out);
}

interface Flags {
  readonly blockChecksum: boolean;
  readonly size: boolean;
  readonly checksum: boolean;
}

const int32 = (n: number) => {
  const b = Buffer.alloc(4);
  b.writeUInt32LE(n);
  return b;
};

function lz4Frame(blocks: readonly Buffer[], { blockChecksum, size, checksum }: Flags): Buffer {
  const flags = 0x40 | (blockChecksum ? 0x10 : 0) | (size ? 8 : 0) | (checksum ? 4 : 0);
  const sum = Buffer.alloc(4, 7);
  return Buffer.concat([
    ...[int32(0x184d2204), Buffer.from([flags, 0x40]), Buffer.alloc(size ? 8 : 0), Buffer.from([0])],
    ...blocks.flatMap(block => [int32(block.length), block, ...(blockChecksum ? [sum] : [])]),
    ...[int32(0), ...(checksum ? [sum] : [])],
  ]);
}

function snappyBlock(given: readonly Step[], length: number): Buffer {
  const out: number[] = [];
  for (let rest = length; ; rest = Math.floor(rest / 128)) {
    out.push((rest & 127) | (rest >= 128 ? 128 : 0));
    if (rest < 128) break;
  }
  for (const step of given) {
    if ('literal' in step) {
      const less = step.literal.length - 1;
      out.push(...(less < 60 ? [less << 2] : less < 256 ? [60 << 2, less] : [61 << 2, less & 255, less >> 8]));
      out.push(...step.literal);
      continue;
    }
    for (let left = step.length; left > 0; ) {
      const now = Math.min(left, 64);
      const { back } = step;
      if (now >= 4 && now < 12 && back < 2_048) out.push(((back >> 8) << 5) | ((now - 4) << 2) | 1, back & 255);
      else if (left % 2 === 0) out.push(((now - 1) << 2) | 2, back & 255, back >> 8);
      else out.push(((now - 1) << 2) | 3, back & 255, back >> 8, 0, 0);
      left -= now;
    }
  }
  return Buffer.from(out);
}

const snappyOfJava = (blocks: readonly Buffer[]) =>
  Buffer.concat([
    ...[Buffer.from('\x82SNAPPY\0', 'latin1'), Buffer.from([0, 0, 0, 1, 0, 0, 0, 1])],
    ...blocks.flatMap(block => [int32(block.length).swap32(), block]),
  ]);

describe('a compressed batch', () => {
  it('of lz4: blocks that refer to those before them, plain ones, and every combination of flags', () => {
    const flags = fc.record({ blockChecksum: fc.boolean(), size: fc.boolean(), checksum: fc.boolean() });
    return fc.assert(
      fc.asyncProperty(fc.array(steps, { minLength: 1, maxLength: 4 }), flags, async (given, flags) => {
        const all: number[] = [];
        const blocks = given.map(of => {
          const made = written(of, all);
          all.push(...made.bytes);
          return lz4Block(made.steps);
        });
        expect(await decompress(3, lz4Frame(blocks, flags), 0)).toEqual(Buffer.from(all));
      }),
    );
  });

  it('of lz4: a block that was left as it is', async () => {
    const plain = Buffer.concat([
      ...[int32(0x184d2204), Buffer.from([0x40, 0x40, 0])],
      ...[int32(0x80000005), Buffer.from('plain'), int32(0)],
    ]);
    expect(String(await decompress(3, Buffer.concat([plain, plain]), 0))).toBe('plainplain');
  });

  it('of Snappy: one block alone, and several behind the header of Java’s clients', () =>
    fc.assert(
      fc.asyncProperty(fc.array(steps, { minLength: 1, maxLength: 4 }), async given => {
        const made = given.map(of => written(of));
        const blocks = made.map(({ steps, bytes }) => snappyBlock(steps, bytes.length));
        expect(await decompress(2, blocks[0]!, 0)).toEqual(Buffer.from(made[0]!.bytes));
        expect(await decompress(2, snappyOfJava(blocks), 0)).toEqual(Buffer.from(made.flatMap(({ bytes }) => bytes)));
      }),
    ));

  it('halts what reads it where it would become too large, whatever the codec', async () => {
    const zeros = Buffer.alloc(100_000);
    const repeated: Step[] = [{ literal: zeros.subarray(0, 1) }, { back: 1, length: 99_999 }];
    const bombs = [
      [1, gzipSync(zeros)],
      [2, snappyBlock(repeated, 100_000)],
      [3, lz4Frame([lz4Block(repeated)], { blockChecksum: false, size: false, checksum: false })],
      [4, zstdCompressSync(zeros)],
    ] as const;
    for (const [codec, bomb] of bombs) {
      expect((await decompress(codec, bomb, 7, 100_000)).equals(zeros)).toBe(true);
      const refused = decompress(codec, bomb, 7, 99_999);
      await expect(refused).rejects.toThrow(Corrupt);
      await expect(refused).rejects.toThrow('the record batch at offset 7 cannot be decompressed');
    }
  });

  it('halts it where it is damaged, cut off, or of a codec that nobody knows', async () => {
    await expect(decompress(5, Buffer.alloc(9), 7)).rejects.toThrow(/offset 7 is compressed by codec 5: must be 1/);
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(1, 2, 3, 4), fc.uint8Array({ minLength: 1 }), async (codec, bytes) => {
        const result = await decompress(codec, Buffer.from(bytes), 7, 10_000).catch((error: unknown) => error);
        expect(result instanceof Corrupt || (result instanceof Buffer && result.length <= 10_000)).toBe(true);
      }),
    );
  });
});
