/** Short courses put together by fast-check, which shrinks a failing one to the few steps that matter. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Operation } from './fake-kafka.ts';
import { type Fate, fates, operations } from './weather.ts';
import { World } from './world.ts';

type Step = fc.AsyncCommand<object, World>;

function step(title: string, run: (world: World) => void): Step {
  return {
    check: () => true,
    async run(_model, world) {
      run(world);
      await world.time.run(world.time.now + 50);
    },
    toString: () => title,
  };
}

const which = fc.nat(3);
const processOf = (world: World, at: number) => world.processes[at % world.processes.length]!;

const steps = [
  fc.integer({ min: 1, max: 5 }).map(count =>
    step(`post ${count} records`, world => {
      for (let i = 0; i < count; i++) world.post();
    }),
  ),
  fc.constantFrom(100, 1_000, 8_000, 40_000).map(ms => waiting(ms)),
  which.map(at => step(`kill process ${at}`, world => processOf(world, at).crash())),
  which.map(at => step(`pause process ${at}`, world => processOf(world, at).pause())),
  which.map(at => step(`stop process ${at}`, world => processOf(world, at).stop())),
  fc
    .constantFrom('aggregator', 'sink-raw', 'sink-aggregates')
    .map(group => step(`rebalance ${group}`, world => world.broker.rebalance(group))),
  fc.integer({ min: 2, max: 4 }).map(to => step(`grow to ${to} partitions`, world => world.grow(to))),
  fc.constant(step('retention', world => world.retain())),
  fc
    .tuple(fc.constantFrom(...operations), fc.constantFrom(...fates))
    .map(([operation, fate]: [Operation, Fate]) =>
      step(`the next ${operation} meets: ${fate}`, world => world.weather.script(operation, fate)),
    ),
];

function waiting(ms: number): Step {
  return {
    check: () => true,
    run: async (_model, world) => world.time.run(world.time.now + ms),
    toString: () => `wait ${ms} ms`,
  };
}

it('keeps its promises after any short course of posts, waits, faults and restarts', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.commands(steps, { maxCommands: 25 }), async (seed, commands) => {
      const world = new World(seed, {
        ...{ partitions: 1, growTo: 0, noticeMs: 10_000, isFarAhead: false },
        ...{ aggregators: 2, sinks: 1, disturbances: [], clockSkewMs: 0 },
      });
      world.weather.isCalm = true;
      using _ = world.time.install();
      world.begin();
      await fc.asyncModelRun(() => ({ model: {}, real: world }), commands);
      await world.calm();
      expect(world.checkers.violation?.message).toBeUndefined();
    }),
    { numRuns: 150 },
  );
}, 300_000);
