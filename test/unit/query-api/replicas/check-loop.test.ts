import { pino } from 'pino';
import { describe, expect, it, vi } from 'vitest';
import { registry } from '../../../../infra/metrics.ts';
import { nextSweep, openCheckLoop } from '../../../../query-api/jobs/replicas/check-loop.ts';
import type { ReplicaFindings } from '../../../../query-api/jobs/replicas/replica-check.ts';
import type { Bucket } from '../../../../query-api/store/replicas/replica-digests.ts';
import type { TimeRange } from '../../../../query-api/time/time-range.ts';

const now = Date.parse('2025-11-22T08:26:40Z');
const hour = 3_600_000;
const day = 24 * hour;
const at = (hours: number) => Math.floor(now / hour) * hour + hours * hour;

describe('the hours that are compared', () => {
  it('go backwards through all that is kept, without a gap, and begin again', () => {
    let range = nextSweep(undefined, now);
    expect(range).toEqual({ from: at(-2), to: at(-1) });
    for (let turns = 1; turns < 2_000; turns++) {
      const next = nextSweep(range, now);
      if (next.to > range.from) {
        expect(range.from).toBeLessThanOrEqual(now - 400 * day);
        expect(next).toEqual({ from: at(-2), to: at(-1) });
        expect(turns).toBeLessThan(35 * 24 + 370);
        return;
      }
      expect(next.to).toBe(range.from);
      range = next;
    }
    expect.unreachable('never begins again');
  });

  it('are the last full hour in each turn, and hours that differed until they agree', async () => {
    const asked: TimeRange[] = [];
    const bad = at(-2);
    let isEqual = false;
    const difference = {
      ...{ table: 'click_raw', hour: bad, partition: -1 },
      found: new Map([
        ['a', { rows: 1, hash: '1' }],
        ['b', { rows: 2, hash: '2' }],
      ]),
    };
    let told: readonly Bucket[] | undefined;
    await using _loop = openCheckLoop({
      ...{ intervalMs: 1, now: () => now, log: pino({ level: 'silent' }) },
      onChecked: async differences => {
        told = differences;
      },
      async check(range): Promise<ReplicaFindings> {
        asked.push(range);
        const isIn = bad >= range.from && bad < range.to && !isEqual;
        return { differences: isIn ? [difference] : [], rows: 1, buckets: 1, unsettled: 0 };
      },
    });
    await vi.waitFor(() => expect(told).toEqual([difference]));
    const before = asked.length;
    await vi.waitFor(() => expect(asked.slice(before)).toContainEqual({ from: bad, to: bad + hour }));
    expect(asked.slice(before)).toContainEqual({ from: at(-1), to: at(0) });
    isEqual = true;
    await vi.waitFor(() => expect(told).toEqual([]));
  });

  it('still count as different while their rows keep changing or a node does not answer', async () => {
    let turn = 0;
    const difference = { table: 'stored_filter', hour: 0, partition: -1, found: new Map() };
    let told: readonly Bucket[] | undefined;
    await using _loop = openCheckLoop({
      ...{ intervalMs: 1, now: () => now, log: pino({ level: 'silent' }) },
      onChecked: async differences => {
        told = differences;
      },
      async check(): Promise<ReplicaFindings> {
        turn++;
        if (turn === 1) return { differences: [difference], rows: 1, buckets: 1, unsettled: 0 };
        if (turn % 5 === 0) throw new Error('a node is away');
        return { differences: [], rows: 1, buckets: 1, unsettled: 1 };
      },
    });
    await vi.waitFor(() => expect(turn).toBeGreaterThan(20));
    expect(told).toEqual([difference]);
  });

  it('that differed are in the metrics from the beginning of a term, also while no comparison succeeds', async () => {
    let tried = 0;
    const began = now + 77_000;
    const old: Bucket = { table: 'click_raw', hour: at(-500), partition: -1 };
    await using _loop = openCheckLoop({
      ...{ intervalMs: 1, now: () => began, log: pino({ level: 'silent' }), before: async () => [old] },
      async check(): Promise<ReplicaFindings> {
        tried++;
        throw new Error('a node is away');
      },
    });
    await vi.waitFor(() => expect(tried).toBeGreaterThan(1));
    const lines = (await registry.metrics()).split('\n');
    expect(lines).toContain('adclicks_replica_differences{table="click_raw"} 1');
    expect(lines).toContain(`adclicks_replica_checked_timestamp_seconds ${began / 1_000}`);
  });

  it('are first the hours in which a former runner has found a difference', async () => {
    const asked: TimeRange[] = [];
    const told: (readonly Bucket[])[] = [];
    const old: Bucket = { table: 'click_raw', hour: at(-500), partition: -1 };
    await using _loop = openCheckLoop({
      ...{ intervalMs: 1, now: () => now, log: pino({ level: 'silent' }), before: async () => [old] },
      onChecked: async differences => told.push(differences),
      async check(range): Promise<ReplicaFindings> {
        asked.push(range);
        return { differences: [], rows: 1, buckets: 1, unsettled: 0 };
      },
    });
    await vi.waitFor(() => expect(told).not.toEqual([]));
    expect(asked.slice(0, 3)).toContainEqual({ from: old.hour, to: old.hour + hour });
    expect(told[0]).toEqual([]);
  });
});
