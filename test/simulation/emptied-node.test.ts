/**
 * A ClickHouse node loses its directory, once or twice, while processes crash and lose answers: it is filled
 * again from the log alone, and in the end every checker finds what it finds where nothing was lost.
 */
import { expect, it } from 'vitest';
import { World } from './world.ts';

const second = 1_000;

it.each(Array.from({ length: 100 }, (_, seed) => seed))('is filled again until it has all (seed %i)', async seed => {
  // The log is kept: what it has lost, a node cannot get back from it.
  const world = new World(seed, { seed, disturbances: ['rebalance', 'crash', 'stop', 'outage', 'marker'] });
  const first = world.random.between(5, Math.max(6, world.settings.stormMs / second)) * second;
  for (const at of [first, ...(world.random.chance(0.3) ? [first + world.random.between(16, 60) * second] : [])])
    world.time.after(at, undefined, 'the store is emptied', () => world.emptyStore());
  const { violation } = await world.run();
  expect(violation?.message).toBeUndefined();
  expect(world.incarnation).not.toBe('');
});
