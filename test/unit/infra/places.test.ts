import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPlaces } from '../../../infra/clickhouse/places.ts';
import { Retryable } from '../../../infra/errors.ts';

describe('places', () => {
  it('are given in the order of coming, never more than there are, and come back also from what has failed', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.boolean(), { maxLength: 20 }),
        async (count, works) => {
          const places = createPlaces('reads', count, works.length);
          const begun: number[] = [];
          let [now, most] = [0, 0];
          const results = await Promise.allSettled(
            works.map((succeeds, i) =>
              places.run(async () => {
                begun.push(i);
                most = Math.max(most, ++now);
                await new Promise(resolve => setImmediate(resolve));
                now--;
                if (!succeeds) throw new Error('failed');
                return i;
              }),
            ),
          );
          expect(begun).toEqual(works.map((_, i) => i));
          expect(most).toBeLessThanOrEqual(count);
          expect(results.map(({ status }) => status === 'fulfilled')).toEqual(works);
          await expect(places.run(async () => 'free')).resolves.toBe('free');
        },
      ),
    );
  });

  it('refuse at once whoever comes when too many wait, and nobody else', async () => {
    const places = createPlaces('reads', 1, 2);
    const held = Promise.withResolvers<string>();
    const asked = [places.run(() => held.promise), places.run(async () => 'b'), places.run(async () => 'c')];
    const error = await places.run(async () => 'd').catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(Retryable);
    expect(String(error)).toContain('reads: 2 are waiting already');
    held.resolve('a');
    expect(await Promise.all(asked)).toEqual(['a', 'b', 'c']);
  });
});
