import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { jsonLinesOf } from '../../../../query-api/client/json-lines.ts';

async function* inPieces(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let start = 0;
  for (let i = 0; start < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    yield bytes.subarray(start, start + size);
    start += size;
  }
}

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const value of values) found.push(value);
  return found;
}

it('gives the same values however the bytes are divided, with or without a last newline', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.jsonValue(), { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
      fc.constantFrom('', '\n'),
      async (values, sizes, end) => {
        const text = values.map(value => JSON.stringify(value)).join('\n') + end;
        const seen = await all(jsonLinesOf(inPieces(Buffer.from(text), sizes)));
        expect(seen).toEqual(JSON.parse(JSON.stringify(values)));
      },
    ),
  );
});

it('refuses a line that does not end', async () => {
  const pieces = inPieces(Buffer.alloc(1_000, 'x'), [10]);
  await expect(all(jsonLinesOf(pieces, 100))).rejects.toThrow('a line is longer than 100 bytes');
});
