import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BodyPieces } from '../../../ingest/body-pieces.ts';

function piecesOf(...pieces: readonly Buffer[]): readonly Buffer[] {
  const body = new BodyPieces();
  for (const piece of pieces) body.add(piece);
  return body.all();
}

describe('the pieces of a body', () => {
  it('are the body, however it was cut', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 5_000 }), { maxLength: 30 }), pieces => {
        const buffers = pieces.map(piece => Buffer.from(piece));
        expect(Buffer.concat(piecesOf(...buffers)).equals(Buffer.concat(buffers))).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it('are few, also where a body is sent byte by byte', () => {
    const pieces = piecesOf(...Array.from({ length: 100_000 }, (_, i) => Buffer.from([i & 255])));
    expect(pieces.length).toBeLessThan(30);
    expect(Buffer.concat(pieces)).toHaveLength(100_000);
  });

  it('are what came, uncopied, where that is one piece, or large ones', () => {
    const [one, large] = [Buffer.from('{"ad_id":"a"}'), Buffer.alloc(2_000)];
    expect(piecesOf(one)[0]).toBe(one);
    expect(piecesOf(one, large)[1]).toBe(large);
  });
});
