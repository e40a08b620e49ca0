import { describe, expect, it } from 'vitest';
import { createLiveDeltas } from '../../../../query-api/routes/live/live-deltas.ts';

const restatement = (minute: number, revision = 1) => ({
  minute,
  ad_id: 'a',
  country: 'KR',
  revision,
  job: 'j',
  reason: 'late' as const,
  before: 1,
  after: 2,
  before_net: 1,
  after_net: 2,
  before_rules: 0,
  after_rules: 0,
  at: minute + 200_000,
});

describe('clicks per second', () => {
  it('is what was counted over the last readings', () => {
    const deltas = createLiveDeltas();
    expect(deltas.rate(0, 1_000)).toBe(0);
    expect(deltas.rate(1_000, 1_100)).toBe(100);
    for (let second = 2; second <= 20; second++) deltas.rate(second * 1_000, 1_100);
    expect(deltas.rate(21_000, 1_150)).toBe(10);
  });

  it('is not changed by a pause between readings, and is never negative when the total becomes smaller', () => {
    const deltas = createLiveDeltas();
    deltas.rate(0, 1_000);
    expect(deltas.rate(60_000, 9_000)).toBe(0);
    expect(deltas.rate(61_000, 10)).toBe(0);
  });
});

describe('changes', () => {
  it('are reported once, in each revision', () => {
    const deltas = createLiveDeltas();
    expect(deltas.fresh([restatement(0)])).toHaveLength(1);
    expect(deltas.fresh([restatement(0), restatement(60_000), restatement(0, 2)])).toMatchObject([
      { minute: '1970-01-01T00:01:00.000Z', revision: 1 },
      { minute: '1970-01-01T00:00:00.000Z', revision: 2 },
    ]);
    expect(deltas.fresh([restatement(0), restatement(60_000), restatement(0, 2)])).toEqual([]);
  });
});
