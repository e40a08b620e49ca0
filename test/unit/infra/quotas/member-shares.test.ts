import { describe, expect, it } from 'vitest';
import { type Beat, MemberShares, type ShareTerms } from '../../../../infra/quotas/member-shares.ts';

const terms: ShareTerms = { beatMs: 2_000, aliveMs: 8_000, settleMs: 5_000 };
const demand = (units: number) => new Map([['k', units]]);

function beat(member: string, sentAtMs: number, demands = new Map<string, number>(), hasLeft = false): Beat {
  return { member, sentAtMs, hasLeft, demands };
}

/** Each beat is appended and read at once, a second apart for each step. */
function joined() {
  const [a, b] = [new MemberShares('a', terms), new MemberShares('b', terms)];
  const both = (each: Beat, atMs: number) => {
    for (const one of [a, b]) one.take(each, 1_000_000 + atMs, atMs);
  };
  return { a, b, both };
}

describe('the share of a process', () => {
  it('is all of the quota if it is alone, at once', () => {
    const { a } = joined();
    expect([a.hasJoined, a.shareOf('k', 0)]).toEqual([false, 0]);
    a.take(beat('a', 0), 1_000_000, 10);
    expect([a.isSettled(10), a.shareOf('k', 10)]).toEqual([true, 1]);
  });

  it('is even among those that are alive, and a newcomer has none until the others have read of it', () => {
    const { a, b, both } = joined();
    both(beat('a', 0), 0);
    both(beat('b', 1_000), 1_000);
    expect([a.shareOf('k', 1_000), b.shareOf('k', 1_000)]).toEqual([0.5, 0]);
    for (const atMs of [2_000, 4_000]) {
      both(beat('a', atMs), atMs);
      both(beat('b', atMs), atMs);
    }
    expect([b.isSettled(5_999), b.shareOf('k', 6_000)]).toEqual([false, 0.5]);
  });

  it('goes by what is asked for, and a tenth is even: less at once, more when all have read why', () => {
    const { a, b, both } = joined();
    both(beat('a', 0), 0);
    for (let atMs = 1_000; atMs <= 9_000; atMs += 1_000) {
      both(beat('a', atMs, demand(300)), atMs);
      both(beat('b', atMs, demand(atMs < 6_000 ? 100 : 900)), atMs);
    }
    expect(a.shareOf('k', 9_000)).toBeCloseTo(0.05 + 0.9 * 0.25);
    expect(b.shareOf('k', 9_000)).toBeCloseTo(0.05 + 0.9 * 0.25);
    expect(b.shareOf('k', 11_000)).toBeCloseTo(0.05 + 0.9 * 0.75);
    expect([a.shareOf('other', 9_000), b.shareOf('other', 9_000)]).toEqual([0.5, 0.5]);
  });

  it('is given to the others after a process has ended, or has said nothing for long', () => {
    const ended = joined();
    const died = joined();
    for (const { both } of [ended, died]) {
      both(beat('a', 0), 0);
      both(beat('b', 0), 0);
    }
    ended.both(beat('b', 1_000, new Map(), true), 1_000);
    const shares: [number, number][] = [];
    for (let atMs = 2_000; atMs <= 16_000; atMs += 2_000) {
      for (const { a } of [ended, died]) a.take(beat('a', atMs), 1_000_000 + atMs, atMs);
      shares.push([ended.a.shareOf('k', atMs), died.a.shareOf('k', atMs)]);
    }
    // At 2, 4, 6, … seconds: one has ended at 1 s. The other was last heard of at 0 s, and is missed at 10 s.
    expect(shares.map(([ofEnded]) => ofEnded)).toEqual([0.5, 0.5, 1, 1, 1, 1, 1, 1]);
    expect(shares.map(([, ofDied]) => ofDied)).toEqual([0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1]);
  });

  it('is even among those that it knew while it has not read its own beat for long', () => {
    const { a, both } = joined();
    both(beat('a', 0, demand(1)), 0);
    both(beat('b', 1, demand(9)), 1);
    expect([a.isCutOff(5_000), a.shareOf('k', 5_000)]).toEqual([false, expect.closeTo(0.05 + 0.09)]);
    expect([a.isCutOff(5_001), a.shareOf('k', 5_001)]).toEqual([true, 0.5]);
  });
});
