import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PrefixIndex } from '../../../../infra/keys/prefix-index.ts';

const prefix = fc.string({ unit: fc.constantFrom('a', 'b', '-'), minLength: 1, maxLength: 14 });

it('finds what a search among all finds, each once, also among thousands', () => {
  const many = fc.array(prefix, { minLength: 3_000, maxLength: 3_000 });
  fc.assert(
    fc.property(many, fc.array(prefix, { minLength: 20, maxLength: 20 }), (all, wanted) => {
      const index = new PrefixIndex<number>();
      for (const [i, each] of all.entries()) index.add(each, i);
      for (const one of wanted) {
        const found = [...index.sharing(one)].sort((a, b) => a.value - b.value);
        const expected = all.flatMap((each, value) =>
          each.startsWith(one) || one.startsWith(each) ? [{ prefix: each, value }] : [],
        );
        expect(found).toEqual(expected);
      }
    }),
    { numRuns: 10 },
  );
});
