/**
 * How long nobody works where one job runner is struck and another is well: in calm weather, on virtual time, so that each
 * delay is one of the settings or one that a broker, a sink or a line has here. Counted until well after the one that was
 * struck is back, because a runner that comes back may take the lease from the active one.
 */
import { messageOf } from '../../infra/errors.ts';
import { names as namesOf } from '../../infra/topics.ts';
import { JobsWorld, type Step } from './jobs-world.ts';
import type { Process } from './process.ts';

export interface Blow {
  readonly how: 'crash' | 'pause' | 'stop';
  readonly at: 'rest' | Step;
}

const second = 1_000;
const watchedMs = 90 * second;

/** The longest time in which nobody works, from the blow on, ms. */
export async function longestVacancy(seed: number, { how, at }: Blow): Promise<number> {
  const world = new JobsWorld(seed);
  const { time, random } = world;
  using _ = time.install();
  world.beginCalm();
  await time.run(time.now + 60 * second, () => world.atWork() !== undefined);
  await time.run(time.now + random.between(10, 15) * second);
  let struckAt: number | undefined;
  const strike = (runner: Process | undefined) => {
    if (struckAt !== undefined || runner === undefined) return;
    struckAt = time.now;
    // Past its session: sooner, and nobody has to succeed it.
    if (how === 'pause') runner.pause(random.pick([random.between(6_100, 9_000), random.between(9, 20) * second]));
    else runner[how]();
  };
  if (at === 'rest') strike(world.atWork());
  else await reach(world, at, strike);
  let [seenAt, longestMs] = [struckAt ?? 0, 0];
  await time.run(time.now + watchedMs, () => {
    if (world.atWork() !== undefined) seenAt = time.now;
    longestMs = Math.max(longestMs, time.now - seenAt);
    return false;
  });
  return longestMs;
}

/** Until the blow has fallen. */
async function reach(world: JobsWorld, at: Step, strike: (runner: Process) => void): Promise<void> {
  const { time, random } = world;
  let isStruck = false;
  const fall = (runner: Process) => {
    isStruck = true;
    strike(runner);
  };
  world.onStep = (runner, step) => {
    if (step !== at || isStruck) return;
    // Somewhere in its transaction, or just before or after it.
    if (at === 'writing') time.after(random.between(1, 40), undefined, 'a blow', () => fall(runner));
    else fall(runner);
  };
  while (!isStruck) {
    if (at === 'writing') world.clicksCome(1);
    // Until the lease moves.
    else world.broker.rebalance(namesOf('').jobRunner);
    await time.run(time.now + 5 * second, () => isStruck);
  }
}

/** In calm weather: what each runner says of itself after a while; '' where it is well. */
export async function readiness(seed: number, hasSink: boolean): Promise<string[]> {
  const world = new JobsWorld(seed);
  using _ = world.time.install();
  world.beginCalm({ hasSink });
  await world.time.run(world.time.now + 40 * second);
  return [...world.leases.values()].map(lease => {
    try {
      lease.check();
      return '';
    } catch (error) {
      return messageOf(error);
    }
  });
}
