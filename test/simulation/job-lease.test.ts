/** Runners of jobs that are killed, paused, cut off and succeeded: the lease, the fence, and the order in which a term begins. */
import { beforeAll, describe, expect, it } from 'vitest';
import { type JobsOutcome, simulateJobs } from './jobs-world.ts';
import { longestVacancy, readiness } from './succession.ts';

const seeds = Number(process.env['SIMULATION_JOB_SEEDS'] ?? 300);
const from = Number(process.env['SIMULATION_FROM'] ?? 1);

describe(`job runners, in ${seeds} simulated lives`, () => {
  const failed: JobsOutcome[] = [];
  const hits = new Map<string, number>();
  let [restatements, terms] = [0, 0];

  beforeAll(async () => {
    for (let seed = from; seed < from + seeds; seed++) {
      const outcome = await simulateJobs(seed);
      if (outcome.violation !== undefined) failed.push(outcome);
      restatements += outcome.restatements;
      terms += outcome.terms;
      for (const [what, times] of outcome.hits) hits.set(what, (hits.get(what) ?? 0) + times);
    }
  }, 300_000);

  it('restate every late click once, from what was stated before, one term after another', () => {
    expect(failed.map(({ seed, violation }) => `seed ${seed}: ${violation}`)).toEqual([]);
  });

  it('were really struck, in the middle of terms and between them', () => {
    const least = (times: number, ...what: readonly string[]) =>
      expect(what.filter(one => (hits.get(one) ?? 0) < (times * seeds) / 300)).toEqual([]);
    least(500, 'disturbance: crash', 'disturbance: pause', 'disturbance: stop', 'disturbance: sink away');
    least(100, 'broker says INVALID_PRODUCER_EPOCH', 'broker says UNKNOWN_MEMBER_ID', 'broker says ILLEGAL_GENERATION');
    const steps = ['initProducerId', 'produce', 'commitTransaction', 'commitOffset', 'query'];
    const fates = ['unanswered', 'late', 'crash after', 'pause before', 'pause after'];
    least(5, ...steps.flatMap(step => fates.map(fate => `${step}: ${fate}`)));
    expect(terms).toBeGreaterThan(7 * seeds);
    expect(restatements).toBeGreaterThan(30 * seeds);
  });
});

describe('a job runner that is struck', () => {
  /**
   * Six seconds are the session, three quarters of one the next heartbeat; to join, to fence and to be shown takes the rest.
   * Who wakes just when it is succeeded may take a second of the others' time.
   */
  const withinMs = { crash: 7_500, pause: 8_500, stop: 2_500 } as const;
  const steps = ['rest', 'before its fence', 'after its fence', 'writing'] as const;
  const blows = (['crash', 'pause', 'stop'] as const).flatMap(how => steps.map(at => ({ how, at })));

  it.each(blows)('($how, $at) is succeeded in time, and nobody is idle in its place when it is back', async blow => {
    const took: number[] = [];
    for (let seed = from; seed < from + seeds / 10; seed++) took.push(await longestVacancy(seed, blow));
    expect(took.filter(ms => ms > withinMs[blow.how])).toEqual([]);
  });
});

it('is ready where it works or waits for the lease, and says why it does neither', async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const well = await readiness(seed, true);
    expect(well.length).toBeGreaterThan(1);
    expect(well.filter(said => said !== '')).toEqual([]);
    const said = await readiness(seed, false);
    const [why, ...others] = said.filter(each => each !== '');
    expect(why).toMatch(
      /^this process holds the lease of the job runner but has no term: .* not in ClickHouse .* is a sink running\?$/,
    );
    expect(others).toEqual([]);
  }
});

it('takes the same course for the same seed', async () => {
  const [first, second] = [await simulateJobs(4), await simulateJobs(4)];
  expect({ ...second, hits: [...second.hits] }).toEqual({ ...first, hits: [...first.hits] });
});
