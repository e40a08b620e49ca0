import { describe, expect, it } from 'vitest';
import { createClickIdMint } from '../../../ingest/click-id.ts';

describe('createClickIdMint', () => {
  it('mints 26 characters of Crockford base 32', () => {
    const mint = createClickIdMint();
    for (let i = 0; i < 10_000; i++) expect(mint(1_763_800_000_000 + i)).toMatch(/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/);
  });

  it('writes the time as the ULID specification does', () => {
    // The specification's example: 1469918176385 is 01ARYZ6S41.
    expect(createClickIdMint()(1_469_918_176_385).slice(0, 10)).toBe('01ARYZ6S41');
  });

  it('orders ids by the ms they were minted in', () => {
    const mint = createClickIdMint();
    const ids = Array.from({ length: 5_000 }, (_, i) => mint(1_763_799_999_000 + i * 7));
    expect(ids.toSorted()).toEqual(ids);
  });

  it('never mints the same id twice, not within a ms nor in another process', () => {
    const mints = [createClickIdMint(), createClickIdMint()];
    const ids = mints.flatMap(mint => Array.from({ length: 100_000 }, () => mint(1_763_800_000_000)));
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('uses all 80 random bits', () => {
    const mint = createClickIdMint();
    const seen = Array.from({ length: 16 }, () => new Set<string>());
    for (let i = 0; i < 5_000; i++)
      for (const [place, char] of [...mint(0).slice(10)].entries()) seen[place]!.add(char);
    expect(seen.map(chars => chars.size)).toEqual(new Array(16).fill(32));
  });
});
