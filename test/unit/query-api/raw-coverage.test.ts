import { describe, expect, it } from 'vitest';
import type { Progress } from '../../../aggregator/ad-minute.ts';
import type { SinkPosition } from '../../../query-api/log/counted-log.ts';
import { createRawCoverage } from '../../../query-api/store/raw-coverage.ts';

const minute = 60_000;
const lines = {
  appended_at: 0,
  received: 0,
  counted: 0,
  duplicates: 0,
  quarantined: 0,
  acknowledged: 0,
  missing: 0,
  invalid: 0,
  ids_per_ad_from: null,
};
/** Progress of two partitions, at one position each. */
const progressAt = (finalUntil: number, ...positions: number[]): Progress[] =>
  positions.map((position, partition) => ({
    ...{ ...lines, partition, partitions: 2, position, watermark: finalUntil, final_until: finalUntil },
  }));
const sinksAt = (...positions: number[]): SinkPosition[] =>
  positions.map((position, partition) => ({
    ...{ group: 'g', topic: 'clicks', topicName: 'clicks', partition, position, end: position },
  }));

function setUp() {
  const at = { now: 0, progress: progressAt(minute, 10, 10), sinks: sinksAt(10, 10) };
  const progress = async () => at.progress;
  const coverage = createRawCoverage({ progress, sinkPositions: async () => at.sinks, clock: () => at.now });
  return { at, coverage, read: coverage.keeping(progress) };
}

describe('how far raw contains what is counted', () => {
  it('is what is final in the counts, when raw has passed all their positions', async () => {
    const { at, coverage } = setUp();
    expect(await coverage.until()).toBe(minute);
    at.sinks = sinksAt(10, 9);
    const other = createRawCoverage({
      ...{ progress: async () => at.progress, sinkPositions: async () => at.sinks, clock: () => 0 },
    });
    expect(await other.until()).toBeNull();
  });

  it('is null while a partition has no progress, or Kafka does not answer', async () => {
    const { at, coverage } = setUp();
    at.progress = at.progress.slice(1);
    expect(await coverage.until()).toBeNull();
    const away = createRawCoverage({
      ...{ progress: async () => progressAt(minute, 0, 1), sinkPositions: () => Promise.reject(new Error('away')) },
      clock: () => 0,
    });
    expect(await away.until()).toBeNull();
  });

  it('is what was final some seconds ago while raw is behind the newest counts, as it is under traffic', async () => {
    const { at, coverage, read } = setUp();
    for (let second = 0; second < 120; second++) {
      at.now = second * 1_000;
      at.progress = progressAt(minute + at.now, 10 + second, 10 + second);
      // In partition 1 raw is always three seconds behind.
      at.sinks = sinksAt(10 + second, 10 + second - 3);
      await read();
      if (second < 10) continue;
      const until = (await coverage.until()) ?? expect.fail(`nothing after ${second} s`);
      expect(until).toBeLessThanOrEqual(minute + at.now - 3_000);
      expect(until).toBeGreaterThan(minute + at.now - 10_000);
    }
  });

  it('uses only the commits of the raw sink', async () => {
    const { at, coverage } = setUp();
    at.sinks = [...sinksAt(10), ...sinksAt(10, 10).map(sink => ({ ...sink, topicName: 'aggregates' as const }))];
    expect(await coverage.until()).toBeNull();
  });
});
