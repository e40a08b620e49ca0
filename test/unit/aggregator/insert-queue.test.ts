import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { InsertQueue } from '../../../aggregator/sink/insert-queue.ts';
import type { FetchedBatch } from '../../../infra/kafka/group-consumer.ts';

function queue(lingerMs = 50) {
  let due = 0;
  const waiting = new InsertQueue({ lingerMs, maxBatchBytes: 100, onDue: () => due++ });
  const add = (partition: number, bytes: number, { isBehind = false } = {}) =>
    waiting.add(
      {
        ...{
          topic: 'clicks',
          partition,
          fetchedOffset: 0,
          nextOffset: 5,
          highWatermark: isBehind ? 6 : 5,
          records: [],
        },
        heartbeat: async () => undefined,
      } satisfies FetchedBatch,
      new Map([['t', [Buffer.alloc(bytes)]]]),
      0,
    );
  const next = () => waiting.takeNext().map(({ batch }) => batch.partition);
  return { waiting, add, next, dueCount: () => due };
}

describe('insert queue', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('is due once the oldest batch has waited for the linger time, however many came after it', async () => {
    const { add, dueCount, next } = queue();
    add(0, 10);
    await vi.advanceTimersByTimeAsync(49);
    add(1, 10);
    expect(dueCount()).toBe(0);
    await vi.advanceTimersByTimeAsync(1);
    expect(dueCount()).toBe(1);
    expect(next()).toEqual([0, 1]);
  });

  it('is due at once when it holds enough for an insert, and without a linger time always', () => {
    const full = queue();
    full.add(0, 99);
    expect(full.dueCount()).toBe(0);
    full.add(1, 1);
    expect(full.dueCount()).toBe(1);
    const eager = queue(0);
    eager.add(0, 1);
    expect(eager.dueCount()).toBe(1);
  });

  it('is due without waiting when more is in the log already', async () => {
    const { add, dueCount } = queue();
    add(0, 10);
    add(1, 10, { isBehind: true });
    await vi.advanceTimersByTimeAsync(0);
    expect(dueCount()).toBe(1);
  });

  it('gives the oldest batches that fit into one insert, and a single one that is larger than that', () => {
    const { add, next, waiting } = queue();
    for (const [partition, bytes] of [250, 60, 40, 1].entries()) add(partition, bytes);
    expect([next(), next(), next(), next()]).toEqual([[0], [1, 2], [3], []]);
    expect(waiting.isEmpty).toBe(true);
  });

  it('forgets a batch that is removed, and its bytes', () => {
    const { add, next, waiting, dueCount } = queue();
    const removed = add(0, 99);
    waiting.remove(removed);
    waiting.remove(removed);
    add(1, 99);
    expect([dueCount(), next()]).toEqual([0, [1]]);
  });

  it('is not due any more for batches that were taken before their time', async () => {
    const { add, next, dueCount } = queue();
    add(0, 10);
    next();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(dueCount()).toBe(0);
  });
});
