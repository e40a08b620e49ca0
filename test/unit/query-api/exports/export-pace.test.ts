import { describe, expect, it } from 'vitest';
import { createPace, patienceSeconds } from '../../../../query-api/routes/exports/export-pace.ts';

const minimum = 1_000;

/** The pace after some seconds, with the bytes that were read in each of them. */
function paceAfter(seconds: number, bytesOf: (second: number) => number, isMoreReady = (_second: number) => true) {
  const pace = createPace(minimum);
  let taken = 0;
  for (let i = 0; i < seconds; i++) {
    taken += bytesOf(i);
    pace.tick(taken, isMoreReady(i));
  }
  return pace;
}

describe('the pace of an export', () => {
  it('is slow when less is read than the minimum, over the given time', () => {
    const trickle = paceAfter(5, () => minimum - 1);
    expect([trickle.isSlowOver(5), trickle.isSlowOver(6)]).toEqual([true, false]);
    expect(paceAfter(patienceSeconds, () => minimum - 1).isSlowOver(patienceSeconds)).toBe(true);
    expect(paceAfter(patienceSeconds, () => minimum).isSlowOver(patienceSeconds)).toBe(false);
  });

  it('is that of all seconds together, so a client that reads much from time to time is not slow', () => {
    const bursts = paceAfter(60, second => (second % 20 === 0 ? 30 * minimum : 0));
    expect(bursts.isSlowOver(patienceSeconds)).toBe(false);
  });

  it('does not depend on what was read long ago', () => {
    const stopped = paceAfter(10 + patienceSeconds, second => (second < 10 ? 1_000 * minimum : 0));
    expect(stopped.isSlowOver(patienceSeconds)).toBe(true);
  });

  it('is not slow when no bytes were ready', () => {
    const waiting = paceAfter(
      120,
      () => 1,
      second => second % 10 !== 9,
    );
    expect(waiting.isSlowOver(patienceSeconds)).toBe(false);
  });
});
