/** That the tests notice bugs is tested too: some of the planted ones here, all of them by test/mutations/run.ts. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mutated, mutations } from '../mutations/mutations.ts';
import { bySimulation } from '../mutations/noticed-by.ts';

const root = join(import.meta.dirname, '../..');

describe('a planted bug', () => {
  it.each(mutations.map(mutation => [mutation.name, mutation] as const))('%s can be planted', (_name, mutation) => {
    const source = readFileSync(join(root, mutation.file), 'utf8');
    expect(mutated(mutation, source)).not.toBe(source);
  });

  it.each([
    ['sink-commits-first', 100, /no loss|progress only after its rows|quarantine holds|what the store refuses/],
    ['fetch-before-fence', 100, /written once|progress never goes back/],
    ['id-per-process', 100, /written once|progress never goes back/],
    ['commit-repeated', 100, /written once|progress never goes back/],
    // It takes a batch that arrives between a seek and the fetch after it: one seed in some hundred has one that matters.
    ['stale-batch-taken', 1_000, /every row is true|progress is true|nothing stalls/],
  ])('%s is noticed by the simulation', async (name, seeds, checks) => {
    expect((await bySimulation(name, seeds)).map(({ what }) => what)).toEqual([expect.stringMatching(checks)]);
  });
});
