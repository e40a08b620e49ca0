/** The promises hold in many simulated lives, and every kind of fault has struck in them. */
import { beforeAll, describe, expect, it } from 'vitest';
import type { Operation } from './fake-kafka.ts';
import { type Fate, fates } from './weather.ts';
import { type Outcome, simulate } from './world.ts';

/** `SIMULATION_SEEDS` and `SIMULATION_FROM` choose others; long runs have a command of their own (simulate.ts). */
const seeds = Number(process.env['SIMULATION_SEEDS'] ?? 1_000);
const from = Number(process.env['SIMULATION_FROM'] ?? 1);

/** Where a process can fail between two steps that belong together. */
const stepPoints: readonly Operation[] = [
  'initProducerId',
  'fetchOffsets',
  'listOffsets',
  'fetch',
  'addPartition',
  'produce',
  'addOffsets',
  'commitOffsetsInTransaction',
  'commitTransaction',
  'insert',
  'commitOffset',
];

describe(`the pipeline behind ingest, in ${seeds} simulated lives`, () => {
  const failed: Outcome[] = [];
  const hits = new Map<string, number>();

  beforeAll(async () => {
    for (let seed = from; seed < from + seeds; seed++) {
      const outcome = await simulate(seed);
      if (outcome.violation) failed.push(outcome);
      for (const [what, times] of outcome.hits) hits.set(what, (hits.get(what) ?? 0) + times);
    }
  }, 900_000);

  it('keeps its promises whatever happens', () => {
    const told = failed.map(
      ({ seed, violation }) => `${violation?.message}\n  node test/simulation/simulate.ts --seed ${seed} --trace`,
    );
    expect(told).toEqual([]);
  });

  /** Per 1,000 seeds. */
  const hitAtLeast = (times: number, what: readonly string[]) => {
    const expected = Math.floor((times * seeds) / 1_000);
    expect(what.filter(one => (hits.get(one) ?? 0) < expected)).toEqual([]);
  };

  it('was really struck, at every step, by everything that can go wrong there', () => {
    const all = stepPoints.flatMap(operation => fates.map((fate: Fate) => `${operation}: ${fate}`));
    hitAtLeast(20, [...all, 'insert: torn', 'retention']);
    hitAtLeast(
      20,
      ['lost', 'unanswered', 'late', 'swallowed'].map(fate => `post: ${fate}`),
    );
    hitAtLeast(
      200,
      ['rebalance', 'crash', 'pause', 'stop', 'retention', 'marker'].map(which => `disturbance: ${which}`),
    );
  });

  it('grew its partitions under way, in time and too late, with commands that were stopped and clicks from both sides', () => {
    hitAtLeast(100, ['growth: announced', 'growth: command stopped']);
    // A task does not count beyond what it knows of the same topic's rules, so only ticks get that far.
    hitAtLeast(15, ['growth: announced too late', 'checked: progress of unknown partitions']);
    hitAtLeast(1_000, ['post: to a new partition', 'post: to an old one, grown', 'post: refused']);
  });

  it('met fencing, rebalances and transactions in the way, and had much to be checked', () => {
    const refusals = ['INVALID_PRODUCER_EPOCH', 'CONCURRENT_TRANSACTIONS', 'ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID'];
    hitAtLeast(
      100,
      refusals.map(type => `broker says ${type}`),
    );
    const checks = [
      'row',
      'row with duplicates',
      'row with late clicks',
      'progress without missing clicks',
      'progress with missing clicks',
      'transaction',
      'final value',
      'count against raw',
      'ad against raw',
      'an id under several ads',
    ];
    const reasons = ['malformed', 'future', 'too_late'].map(reason => `quarantined ${reason}`);
    hitAtLeast(
      1_000,
      [...checks, ...reasons].map(what => `checked: ${what}`),
    );
  });
});

it('takes the same course for the same seed, and another for another', async () => {
  const hashes = new Set<number>();
  for (let seed = 1; seed <= 20; seed++) {
    const [first, second] = [await simulate(seed), await simulate(seed)];
    expect({ ...second, hits: [...second.hits] }).toEqual({ ...first, hits: [...first.hits] });
    hashes.add(first.hash);
  }
  expect(hashes.size).toBe(20);
}, 120_000);
