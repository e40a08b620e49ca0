import { describe, expect, it } from 'vitest';
import { createPace, patienceSeconds } from '../../../../query-api/routes/exports/export-pace.ts';

const minimum = 1_000;

/** After so many seconds, in each of which so many bytes were taken. */
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
  it('is slow where less is taken than must be, over as long as is asked', () => {
    const trickle = paceAfter(5, () => minimum - 1);
    expect([trickle.isSlowOver(5), trickle.isSlowOver(6)]).toEqual([true, false]);
    expect(paceAfter(patienceSeconds, () => minimum - 1).isSlowOver(patienceSeconds)).toBe(true);
    expect(paceAfter(patienceSeconds, () => minimum).isSlowOver(patienceSeconds)).toBe(false);
  });

  it('is that of all seconds together: who takes a lot now and then is not slow', () => {
    const bursts = paceAfter(60, second => (second % 20 === 0 ? 30 * minimum : 0));
    expect(bursts.isSlowOver(patienceSeconds)).toBe(false);
  });

  it('does not live on what was taken long ago', () => {
    const stopped = paceAfter(10 + patienceSeconds, second => (second < 10 ? 1_000 * minimum : 0));
    expect(stopped.isSlowOver(patienceSeconds)).toBe(true);
  });

  it('is nobody’s fault where there was nothing to take', () => {
    const waiting = paceAfter(
      120,
      () => 1,
      second => second % 10 !== 9,
    );
    expect(waiting.isSlowOver(patienceSeconds)).toBe(false);
  });
});
