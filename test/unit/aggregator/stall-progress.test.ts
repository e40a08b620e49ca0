/** What the stall watch is told while a long work is under way that is no stall: it would end the process, for ever. */
import { expect, it } from 'vitest';
import { encodeCheckpoint } from '../../../aggregator/commit-metadata.ts';
import { freshCheckpoint } from '../../../aggregator/core/checkpoint.ts';
import { BatchInserter } from '../../../aggregator/sink/batch-inserter.ts';
import { SinkPositions } from '../../../aggregator/sink/sink-positions.ts';
import { PartitionTask } from '../../../aggregator/task.ts';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { RefusedRows } from '../../../infra/errors.ts';
import type { FetchedBatch } from '../../../infra/kafka/group-consumer.ts';
import { createLog } from '../../../infra/log.ts';
import { names } from '../../../infra/topics.ts';
import { minute0 } from '../../support/clicks.ts';
import { noErasures } from '../../support/no-erasures.ts';

const log = createLog('test', 'fatal');

const ticksAt = (from: number, count: number): FetchedBatch => ({
  topic: 'clicks',
  partition: 0,
  fetchedOffset: from,
  nextOffset: from + count,
  highWatermark: 20,
  heartbeat: async () => undefined,
  records: Array.from({ length: count }, (_, i) => ({
    offset: from + i,
    timestamp: minute0,
    value: null,
  })),
});

it('a task gets on while it restores, though it writes nothing', async () => {
  const committed = { offset: 10, metadata: encodeCheckpoint(freshCheckpoint(4)) };
  const task = new PartitionTask(
    {
      aggregator: { partition: 0, outOfOrdernessMs: 0, allowedLatenessMs: 0, hashSeed: 1 },
      names: names(''),
      commitIntervalMs: 500,
      commitMaxIntervalMs: 2_000,
      commitMaxLines: 1_000,
      tickIntervalMs: 5_000,
      withoutCommit: 'fail',
    },
    {
      openWriter: async () => ({ commit: async () => undefined, [Symbol.asyncDispose]: async () => undefined }),
      committed: async () => committed,
      range: async () => ({ start: 0, end: 20 }),
      pause: () => undefined,
      readFrom: () => undefined,
      appendTick: async () => undefined,
      partitionsAt: () => 1,
      rulesKnownUntil: () => Number.POSITIVE_INFINITY,
      tasks: () => 1,
      now: () => 0,
    },
    log,
  );
  await task.start();
  expect([task.state, task.reached]).toEqual(['restoring', 4]);
  await task.onBatch(ticksAt(4, 3));
  expect([task.state, task.reached]).toEqual(['restoring', 7]);
  await task.onBatch(ticksAt(7, 3));
  expect([task.state, task.reached]).toEqual(['running', 10]);
});

it('a sink says that inserting does not succeed while refused rows go in one by one', async () => {
  const refused = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<void>();
  const inserter = new BatchInserter({
    erasures: noErasures,
    node: 'only',
    clickhouse: { insert: () => Promise.reject(new RefusedRows('no')) } as unknown as ClickHouse,
    log,
    lingerMs: 0,
    maxBatchBytes: 1_000,
    intervalMs: 0,
    commit: async () => undefined,
    onRefused() {
      entered.resolve();
      return refused.promise;
    },
  });
  const inserted = inserter.insert(ticksAt(0, 1), new Map([['click_raw', [Buffer.from('{}\n')]]]));
  await entered.promise;
  expect(inserter.failing).toBe('no');
  refused.resolve();
  await inserted;
  expect(inserter.failing).toBeUndefined();
});

it('a sink stands where its group has committed, though a batch of an earlier assignment ends late', async () => {
  const positions = new SinkPositions();
  const admin = {
    endOffsets: async () => new Map([[0, 32]]),
    commits: async () => new Map([[0, { offset: 32, metadata: '' }]]),
  };
  positions.assign(new Map([['quarantine', [0]]]));
  positions.passed('quarantine', 0, 9);
  expect(await positions.readings(admin, 'g', 'read_committed')).toEqual(
    new Map([['quarantine[0]', { position: 32, end: 32 }]]),
  );
});
