import { describe, expect, it } from 'vitest';
import { reactionTo, restartReasonOf } from '../../../infra/embedded/restart-policy.ts';

const ending = { code: 1, livedMs: 100, failures: 0, startingUp: false };

describe('what follows from the end of a child', () => {
  it('starts it again after pauses that double up to ten seconds', () => {
    const delays: number[] = [];
    for (let failures = 0; delays.length < 8; ) {
      const reaction = reactionTo({ ...ending, failures });
      if (reaction.kind !== 'restart') throw new Error('gave up');
      delays.push(reaction.delayMs);
      failures = reaction.failures;
    }
    expect(delays).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
  });

  it('forgets the failures of one that ran for half a minute', () => {
    const reaction = reactionTo({ ...ending, failures: 7, livedMs: 30_000 });
    expect(reaction).toEqual({ kind: 'restart', delayMs: 250, failures: 1 });
  });

  it('gives up on one that cannot work as configured, while starting up', () => {
    expect(reactionTo({ ...ending, code: 78, startingUp: true })).toEqual({ kind: 'give up' });
  });

  it.each([
    { code: 78, startingUp: false },
    { code: 0, startingUp: false },
    { code: null, startingUp: true },
    { code: 1, startingUp: true },
  ])('starts it again after %o', how => {
    expect(reactionTo({ ...ending, ...how }).kind).toBe('restart');
  });
});

describe('why a child ended', () => {
  it.each([
    [{ code: null, signal: 'SIGALRM' }, false, 'stalled'],
    [{ code: 142, signal: null }, false, 'stalled'],
    [{ code: null, signal: 'SIGKILL' }, true, 'silent'],
    [{ code: null, signal: 'SIGKILL' }, false, 'killed'],
    [{ code: 1, signal: null }, false, 'failed'],
    [{ code: 0, signal: null }, false, 'ended'],
  ] as const)('is, for %o (did not answer: %s), counted as %s', (exit, wasSilent, reason) => {
    expect(restartReasonOf(exit, wasSilent)).toBe(reason);
  });
});
