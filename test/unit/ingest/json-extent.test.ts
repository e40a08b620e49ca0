import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonExtent } from '../../../ingest/json-extent.ts';

/** Where the value at the start of `text` ends, looked at by `step` bytes at a time; undefined: nowhere. */
function extentOf(text: string, step = 1): { end: number; deepest: number } | undefined {
  const extent = new JsonExtent();
  const body = Buffer.from(text);
  extent.begin(0);
  while (extent.at < body.length) {
    if (extent.run(body, Math.min(extent.at + step, body.length))) return { end: extent.at, deepest: extent.deepest };
  }
  return undefined;
}

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

describe('the extent of a JSON value', () => {
  it('is that of the value, and its depth, whatever it holds, and in however many steps it is found', () => {
    fc.assert(
      fc.property(
        fc.jsonValue(),
        fc.integer({ min: 1, max: 9 }),
        fc.constantFrom(',', ']', '}'),
        (value, step, ending) => {
          const text = JSON.stringify(value);
          const found = extentOf(`${text}${ending}"x",[`, step);
          expect(found).toEqual({ end: Buffer.byteLength(text), deepest: depthOf(value) });
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it.each([
    ['brackets and commas in a text', '"],}\\"],"', 0],
    ['a backslash at the end of a text', '"\\\\"', 0],
    ['brackets in brackets', '[[{"a":[]}]]', 4],
  ])('does not end at %s', (_what, text, deepest) => {
    for (const step of [1, 2, 3, 100]) expect(extentOf(`${text}]`, step)).toEqual({ end: text.length, deepest });
  });

  it.each(['', '[', '{"a":1', '"a,b]', '"\\'])('is not found where the value is cut short: %s', text => {
    expect(extentOf(text)).toBeUndefined();
  });
});
