import { describe, expect, it } from 'vitest';
import type { Progress } from '../../../aggregator/ad-minute.ts';
import { createRawGate } from '../../../query-api/jobs/recount/raw-gate.ts';

const progressAt = (...positions: readonly number[]): Progress[] =>
  positions.map((position, partition) => ({
    ...{ partition, partitions: positions.length, position, watermark: 0, final_until: 0, appended_at: 0 },
    ...{
      received: 0,
      counted: 0,
      duplicates: 0,
      quarantined: 0,
      acknowledged: 0,
      missing: 0,
      invalid: 0,
      ids_per_ad_from: null,
    },
  }));

/** A log, and how much of it is in raw, by partition. The test moves both. */
function logOf(ends: number[], raw: number[]) {
  const positionsOf = (of: readonly number[]) => new Map(of.map((position, partition) => [partition, position]));
  const asked = { ends: 0, raw: 0 };
  const state = { ends, raw, isAway: false };
  const answer = async (of: 'ends' | 'raw') => {
    asked[of]++;
    if (state.isAway) throw new Error('Kafka is away');
    return positionsOf(state[of]);
  };
  const gate = createRawGate({
    endOffsets: () => answer('ends'),
    sinkPositions: async () => [],
    rawPositions: () => answer('raw'),
  });
  return { gate, state, asked };
}

describe('the gate of a recount', () => {
  it('opens when raw has reached the end that the log and the stream had at the first question', async () => {
    const { gate, state } = logOf([10, 20], []);
    const progress = progressAt(5, 30);
    expect(await gate.passed(['j'], progress)).toEqual(new Set());
    state.ends = [1_000, 1_000];
    state.raw = [10, 20];
    expect(await gate.passed(['j'], progress)).toEqual(new Set());
    state.raw = [10, 30];
    expect(await gate.passed(['j'], progress)).toEqual(new Set(['j']));
    expect(await gate.passed(['another'], progress)).toEqual(new Set());
  });

  it.each([2, 10])('lets each of %i jobs through at its own target, while the log grows faster than raw', async n => {
    const { gate, state } = logOf([100], [0]);
    const jobs = Array.from({ length: n }, (_, i) => `job-${i}`);
    // Each time there is one more job, and traffic with which raw never catches up.
    for (let i = 0; i < n; i++) {
      expect(await gate.passed(jobs.slice(0, i + 1), progressAt(0))).toEqual(new Set());
      state.ends = [(state.ends[0] ?? 0) + 100];
    }
    for (let i = 0; i < n; i++) {
      state.raw = [(i + 1) * 100];
      state.ends = [(state.ends[0] ?? 0) + 100];
      expect(await gate.passed(jobs, progressAt(0))).toEqual(new Set(jobs.slice(0, i + 1)));
    }
  });

  it('asks Kafka once for all jobs, and no more for jobs that have passed', async () => {
    const { gate, state, asked } = logOf([10], [0]);
    await gate.passed(['a', 'b', 'c'], progressAt(0));
    expect(asked).toEqual({ ends: 1, raw: 1 });
    state.raw = [10];
    await gate.passed(['a', 'b', 'c'], progressAt(0));
    expect(asked).toEqual({ ends: 1, raw: 2 });
    await gate.passed(['a', 'b', 'c'], progressAt(0));
    expect(asked).toEqual({ ends: 1, raw: 2 });
  });

  it('lets jobs that have passed continue while Kafka is away, and the others wait', async () => {
    const { gate, state } = logOf([10], [10]);
    expect(await gate.passed(['a'], progressAt(0))).toEqual(new Set(['a']));
    state.isAway = true;
    expect(await gate.passed(['a', 'b'], progressAt(0))).toEqual(new Set(['a']));
    await expect(gate.passed(['b'], progressAt(0))).rejects.toThrow('away');
    state.isAway = false;
    expect(await gate.passed(['b'], progressAt(0))).toEqual(new Set(['b']));
  });

  it('forgets a job that is not open any more', async () => {
    const { gate, state, asked } = logOf([10], [10]);
    await gate.passed(['a'], progressAt(0));
    await gate.passed([], progressAt(0));
    state.ends = [50];
    expect(await gate.passed(['a'], progressAt(0))).toEqual(new Set());
    expect(asked.ends).toBe(2);
  });
});
