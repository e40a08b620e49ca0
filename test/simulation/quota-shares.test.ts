/** Processes that share a quota and join, end, die, pause and are cut off: never more than the quota, and never less for long. */
import { beforeAll, describe, expect, it } from 'vitest';
import { type QuotaOutcome, simulateQuotas } from './quota-world.ts';

const seeds = Number(process.env['SIMULATION_QUOTA_SEEDS'] ?? 60);

describe(`processes that share a quota, in ${seeds} simulated lives`, () => {
  const outcomes: (QuotaOutcome & { readonly seed: number })[] = [];
  const happened = new Map<string, number>();

  beforeAll(() => {
    for (let seed = 1; seed <= seeds; seed++) {
      const outcome = simulateQuotas(seed);
      outcomes.push({ seed, ...outcome });
      for (const [what, times] of outcome.happened) happened.set(what, (happened.get(what) ?? 0) + times);
    }
  }, 120_000);

  const broken = (is: (outcome: QuotaOutcome) => boolean) => outcomes.filter(is).map(({ seed }) => `seed ${seed}`);

  it('give out no more than one quota together, as long as they read the log', () => {
    expect(broken(({ largestShare }) => largestShare > 1.000_001)).toEqual([]);
  });

  it('have all of it again some seconds after the last one has died, ended or joined', () => {
    expect(broken(({ lastShare }) => lastShare < 0.9)).toEqual([]);
  });

  it('take no more clicks than the burst, the rate, a second and a batch for each start, and the shares of those cut off', () => {
    expect(broken(({ excess }) => excess > 0)).toEqual([]);
  });

  it('were really struck, and at the quota', () => {
    const rare = ['start', 'kill', 'end', 'pause', 'cut off', 'served while cut off'].filter(
      what => (happened.get(what) ?? 0) < seeds,
    );
    expect(rare).toEqual([]);
    expect(happened.get('refused')).toBeGreaterThan(1_000 * seeds);
  });
});
