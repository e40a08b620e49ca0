import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BucketRule, TokenBucket } from '../../../../infra/quotas/token-bucket.ts';

const rule = { perSecond: 10, burst: 20 };

describe('a token bucket', () => {
  it('gives its burst at once, comes back evenly, and never holds more than its burst', () => {
    const bucket = new TokenBucket(20, 1_000);
    bucket.take(20, rule, 1_000);
    expect(bucket.has(1, rule, 1_000)).toBe(false);
    expect(bucket.has(1, rule, 1_100)).toBe(true);
    expect(bucket.level(rule, 1_500)).toBe(5);
    expect(bucket.level(rule, 10_000_000)).toBe(20);
  });

  it('has what was overdrawn made good before it gives anything', () => {
    const bucket = new TokenBucket(1, 0);
    bucket.take(101, rule, 0);
    expect(bucket.waitS(1, rule, 0)).toBe(11);
    expect(bucket.has(1, rule, 10_000)).toBe(false);
    expect(bucket.has(1, rule, 10_100)).toBe(true);
  });

  it('was full until it is taken from, however long nobody asked', () => {
    const bucket = new TokenBucket(20, 0);
    bucket.take(20, rule, 60_000);
    expect(bucket.has(1, rule, 60_000)).toBe(false);
  });

  it('gives back nothing when its clock goes back', () => {
    const bucket = new TokenBucket(0, 5_000);
    expect(bucket.level(rule, 4_000)).toBe(0);
    expect(bucket.level(rule, 5_000)).toBe(0);
  });

  it('has the units for who waits as long as it says, whatever was taken before, up to an hour', () => {
    fc.assert(
      fc.property(
        fc.record({
          perSecond: fc.double({ min: 0.01, max: 1e6, noNaN: true }),
          burst: fc.integer({ min: 1, max: 1e6 }),
        }),
        fc.integer({ min: 1, max: 20_000 }),
        fc.integer({ min: 0, max: 5_000 }),
        (given: BucketRule, taken, passedMs) => {
          const bucket = new TokenBucket(given.burst, 0);
          bucket.take(taken, given, 0);
          const waitS = bucket.waitS(1, given, passedMs);
          expect(waitS).toBeGreaterThanOrEqual(1);
          if (waitS < 3_600) expect(bucket.has(1, given, passedMs + waitS * 1_000)).toBe(true);
        },
      ),
    );
  });

  it('gives in any time no more than its burst, what comes back, and what the last taker overdraws', () => {
    const most = 50;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 3_000 }), fc.integer({ min: 1, max: most })), { maxLength: 60 }),
        steps => {
          const bucket = new TokenBucket(rule.burst, 0);
          const taken: { atMs: number; units: number }[] = [];
          let atMs = 0;
          for (const [passedMs, units] of steps) {
            atMs += passedMs;
            if (!bucket.has(1, rule, atMs)) continue;
            bucket.take(units, rule, atMs);
            taken.push({ atMs, units });
          }
          for (let from = 0; from < taken.length; from++) {
            let sum = 0;
            for (const { atMs: at, units } of taken.slice(from)) {
              sum += units;
              const seconds = (at - taken[from]!.atMs) / 1_000;
              expect(sum).toBeLessThanOrEqual(rule.burst + seconds * rule.perSecond + most - 1 + 1e-6);
            }
          }
        },
      ),
    );
  });
});
