/** What a newer release has written: readers stand before it, go on with everything else, and lose nothing. */
import { expect, it } from 'vitest';
import { names as namesOf } from '../../infra/topics.ts';
import { World } from './world.ts';

const names = namesOf('');
const second = 1_000;

/** Two partitions in good weather, with traffic in both; lines of the log are kept. */
async function withWorld(seed: number, course: (world: World, log: string[]) => Promise<void>): Promise<void> {
  const world = new World(seed, { partitions: 2, aggregators: 2, sinks: 2, disturbances: [], clockSkewMs: 0 });
  const log: string[] = [];
  world.time.trace = line => void log.push(line);
  world.weather.isCalm = true;
  using _ = world.time.install();
  world.begin();
  await course(world, log);
  expect(world.checkers.violation?.message).toBeUndefined();
}

async function traffic(world: World, seconds: number): Promise<void> {
  for (let i = 0; i < 2 * seconds; i++) {
    world.post();
    await world.time.run(world.time.now + second / 2);
  }
}

const endOf = (world: World, topic: string, partition: number) => world.broker.range(topic, partition).end;
const committed = (world: World, group: string, topic: string, partition: number) =>
  world.broker.committedOffset(group, topic, partition)?.offset ?? 0;
const said = (log: readonly string[], text: string) => log.filter(line => line.includes(text)).length;

it('stands before clicks of an unknown format, through rebalances and restarts, and counts and stores all others', async () => {
  for (const seed of [1, 2, 3]) {
    await withWorld(seed, async (world, log) => {
      await traffic(world, 10);
      const stand = endOf(world, 'clicks', 0);
      world.broker.append('clicks', 0, [{ value: Buffer.from(''), headers: { adclicks_format: '2' } }]);
      await traffic(world, 60);
      for (const group of [names.aggregatorGroup, names.rawSinkGroup]) world.broker.rebalance(group);
      await traffic(world, 60);
      for (const process of world.processes) process.crash();
      await traffic(world, 60);
      await world.time.run(world.time.now + 20 * second);
      for (const group of [names.aggregatorGroup, names.rawSinkGroup]) {
        expect(committed(world, group, 'clicks', 0)).toBe(stand);
        // But for what came a moment ago.
        expect(committed(world, group, 'clicks', 1)).toBeGreaterThan(endOf(world, 'clicks', 1) - 10);
      }
      expect(world.store.progress().find(row => row.partition === 0)?.position).toBe(stand);
      expect(said(log, 'task halted')).toBeGreaterThan(0);
      expect(said(log, 'partition halted')).toBeGreaterThan(0);
    });
  }
});

it('stands before rows of an unknown kind, and stores the rows of all other partitions', async () => {
  await withWorld(4, async world => {
    await traffic(world, 10);
    const stand = endOf(world, 'aggregates', 0);
    world.broker.append('aggregates', 0, [{ value: Buffer.from(''), headers: { kind: 'ad-hour' } }]);
    await traffic(world, 60);
    world.broker.rebalance(names.aggregateSinkGroup);
    await traffic(world, 60);
    await world.time.run(world.time.now + 20 * second);
    const at = (partition: number) => committed(world, names.aggregateSinkGroup, 'aggregates', partition);
    expect(at(0)).toBe(stand);
    expect(at(1)).toBeGreaterThan(endOf(world, 'aggregates', 1) - 10);
    expect(committed(world, names.aggregatorGroup, 'clicks', 0)).toBeGreaterThan(endOf(world, 'clicks', 0) - 10);
  });
});

it('stands before rows that the store does not take, and stores those of others that came in one insert with them', async () => {
  await withWorld(5, async (world, log) => {
    await traffic(world, 10);
    const stand = endOf(world, 'aggregates', 0);
    const longer = Buffer.from('[1763800020,"ad","KR",0,9,1,0,0,7]\n');
    // The row is no true one, and is not to be judged.
    world.checkers.appended = () => {};
    world.broker.append('aggregates', 0, [{ value: longer, headers: { kind: 'ad-minute' } }]);
    Reflect.deleteProperty(world.checkers, 'appended');
    await traffic(world, 60);
    await world.time.run(world.time.now + 20 * second);
    const at = (partition: number) => committed(world, names.aggregateSinkGroup, 'aggregates', partition);
    expect(at(0)).toBeLessThanOrEqual(stand);
    expect(at(1)).toBeGreaterThan(endOf(world, 'aggregates', 1) - 10);
    expect(said(log, 'ClickHouse does not accept the rows')).toBeGreaterThan(0);
  });
});
