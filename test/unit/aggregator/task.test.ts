import { describe, expect, it } from 'vitest';
import { encodeCheckpoint } from '../../../aggregator/commit-metadata.ts';
import { freshCheckpoint } from '../../../aggregator/core/checkpoint.ts';
import { PartitionTask } from '../../../aggregator/task.ts';
import type { TaskPorts, TaskSettings } from '../../../aggregator/task-ports.ts';
import { allowedTransitions, type TaskState } from '../../../aggregator/task-state.ts';
import { Fenced, Retryable } from '../../../infra/errors.ts';
import type { Committed } from '../../../infra/kafka/committed.ts';
import type { FetchedBatch } from '../../../infra/kafka/group-consumer.ts';
import type { TransactionContent } from '../../../infra/kafka/transactional-producer.ts';
import { createLog } from '../../../infra/log.ts';
import { names } from '../../../infra/topics.ts';
import { click, minute0, ndjson } from '../../support/clicks.ts';
import { eventually } from '../../support/wait.ts';

/** A world of one partition whose broker is this object. */
function world(given: { committed?: Committed; start?: number; end?: number } = {}, set: Partial<TaskSettings> = {}) {
  const calls: string[] = [];
  const state = {
    calls,
    committed: given.committed,
    range: { start: given.start ?? 0, end: given.end ?? 0 },
    commits: [] as TransactionContent[],
    readFrom: -1,
    ticks: 0,
    now: 0,
    failCommits: 0,
    failOpens: 0,
    failReads: 0,
    commitTakes: 0,
    rulesKnownUntil: Number.POSITIVE_INFINITY,
  };
  const ports: TaskPorts = {
    async openWriter() {
      calls.push('fence');
      if (state.failOpens-- > 0) throw new Retryable('broker away');
      return {
        async commit(content) {
          if (state.commitTakes > 0) await new Promise(resolve => setTimeout(resolve, state.commitTakes));
          if (state.failCommits-- > 0) throw new Fenced('outcome unknown');
          state.commits.push(content);
          state.committed = content.commit;
        },
        async [Symbol.asyncDispose]() {
          calls.push('close');
        },
      };
    },
    async committed() {
      calls.push('fetch');
      return state.committed;
    },
    range: async () => state.range,
    pause: () => calls.push('pause'),
    readFrom(offset) {
      if (state.failReads-- > 0) throw new Retryable('not a member of the group');
      state.readFrom = offset;
    },
    async appendTick() {
      state.ticks++;
    },
    partitionsAt: () => 1,
    rulesKnownUntil: () => state.rulesKnownUntil,
    tasks: () => 4,
    now: () => state.now,
  };
  return { state, task: new PartitionTask({ ...settings, ...set }, ports, createLog('test', 'fatal')) };
}

const settings: TaskSettings = {
  aggregator: { partition: 0, outOfOrdernessMs: 15_000, allowedLatenessMs: 60_000, hashSeed: 1 },
  names: names(''),
  commitIntervalMs: 500,
  commitMaxIntervalMs: 2_000,
  commitMaxLines: 1_000,
  tickIntervalMs: 5_000,
  withoutCommit: 'fail',
};

/** Records with `lines` clicks each, from offset `from`. */
function batch(from: number, records: number, lines = 1): FetchedBatch {
  return {
    topic: 'clicks',
    partition: 0,
    fetchedOffset: from,
    nextOffset: from + records,
    highWatermark: from + records,
    heartbeat: async () => undefined,
    records: Array.from({ length: records }, (_, i) => ({
      offset: from + i,
      timestamp: minute0 + 1_000,
      value: Buffer.from(ndjson(...Array.from({ length: lines }, () => click()))),
    })),
  };
}

function* failingAfter<T>(all: Iterable<T>, count: number): Generator<T> {
  let given = 0;
  for (const each of all) {
    if (given++ === count) throw new RangeError('Array buffer allocation failed');
    yield each;
  }
}

const checkpointAt = (offset: number, restoreFrom = offset): Committed => ({
  offset,
  metadata: encodeCheckpoint({
    ...freshCheckpoint(restoreFrom),
    totals: { received: 9, counted: 9, duplicates: 0, quarantined: 0, invalid: 0 },
  }),
});

const unknownRecord = (offset: number): FetchedBatch => {
  const known = batch(offset, 1);
  return { ...known, records: [...known.records].map(record => ({ ...record, headers: { adclicks_format: '9' } })) };
};

/** Brings a task into a state, does something to it, and returns the states before and after. */
async function walked(
  given: Parameters<typeof world>[0],
  act: (task: PartitionTask, state: ReturnType<typeof world>['state']) => Promise<unknown>,
  { isStarted = true } = {},
): Promise<[TaskState, TaskState]> {
  const { state, task } = world(given);
  if (isStarted) await task.start();
  const before = task.state;
  await act(task, state);
  return [before, task.state];
}

const beforeItsCommit = { committed: checkpointAt(10, 4), end: 12 };
const atItsCommit = { committed: checkpointAt(10), end: 12 };
const notStarted = { isStarted: false };
const close = (task: PartitionTask) => task.close({ commit: false });
/** A restart waits at least 0 ms before it tries to start, so the state can be read before. */
const broken = (offset: number) => ({ ...batch(offset, 3), records: failingAfter(batch(offset, 3).records, 1) });

const everyTransition: [TaskState, TaskState, () => Promise<[TaskState, TaskState]>][] = [
  ['starting', 'restoring', () => walked(beforeItsCommit, task => task.start(), notStarted)],
  ['starting', 'halted', () => walked({ start: 5, end: 9 }, task => task.start(), notStarted)],
  ['starting', 'closed', () => walked({}, close, notStarted)],
  ['restoring', 'running', () => walked(beforeItsCommit, task => task.onBatch(batch(4, 6)))],
  ['restoring', 'starting', () => walked(beforeItsCommit, task => task.onBatch(broken(4)))],
  ['restoring', 'halted', () => walked(beforeItsCommit, task => task.onBatch(unknownRecord(4)))],
  ['restoring', 'closed', () => walked(beforeItsCommit, close)],
  ['running', 'starting', () => walked(atItsCommit, task => task.onBatch(broken(10)))],
  ['running', 'halted', () => walked(atItsCommit, task => task.onBatch(unknownRecord(10)))],
  ['running', 'closed', () => walked(atItsCommit, close)],
  ['halted', 'closed', () => walked({ start: 5, end: 9 }, close)],
];

describe('task', () => {
  it('fences before it fetches the committed offset', async () => {
    const { state, task } = world();
    await task.start();
    expect(state.calls).toEqual(['pause', 'fence', 'fetch']);
    expect(task.state).toBe('running');
  });

  it.each([
    ['500 ms after the last where few clicks come', 25, 501],
    ['later by 10 µs for each click and task of the process', 10_000, 900],
    ['2 s after the last at most, however many come', 60_000, 2_000],
  ])('commits %s', async (_, lines, dueAfterMs) => {
    const { state, task } = world({}, { commitMaxLines: 1_000_000 });
    await task.start();
    await task.onBatch(batch(0, 1, lines));
    state.now = dueAfterMs - 1;
    task.onTimer();
    expect(state.commits.length).toBe(0);
    state.now = dueAfterMs;
    task.onTimer();
    expect(state.commits.length).toBe(1);
  });

  it('re-reads from the checkpoint to the committed offset without writing, then counts on', async () => {
    const { state, task } = world({ committed: checkpointAt(10, 4), end: 12 });
    await task.start();
    expect([task.state, state.readFrom]).toEqual(['restoring', 4]);
    state.now = 1_000;
    await task.onBatch(batch(4, 3));
    expect([task.state, state.commits.length]).toEqual(['restoring', 0]);
    await task.onBatch(batch(7, 5));
    expect(task.state).toBe('running');
    await eventually('commit', () => state.commits.length === 1);
    expect(state.commits[0]?.commit.offset).toBe(12);
    const rows = state.commits[0]?.sends.flatMap(s => s.records).map(r => String(r.value)) ?? [];
    expect(rows[0]).toContain(',12,8,0,0]');
    expect(rows.at(-1)).toContain('"received":11,"counted":11');
  });

  it('needs no record behind the committed offset to end the restore', async () => {
    const { task } = world({ committed: checkpointAt(10, 8), end: 10 });
    await task.start();
    await task.onBatch(batch(8, 2));
    expect(task.state).toBe('running');
  });

  it('drops a batch that was fetched before a seek, and asks for its own position', async () => {
    const { state, task } = world({ committed: checkpointAt(10), end: 30 });
    await task.start();
    await task.onBatch(batch(20, 5));
    expect([task.position, state.readFrom]).toEqual([10, 10]);
    await task.onBatch(batch(5, 5));
    expect(task.position).toBe(10);
  });

  it('passes over control records', async () => {
    const { task } = world({ committed: checkpointAt(10), end: 30 });
    await task.start();
    task.onGap(10, 12);
    expect(task.position).toBe(12);
    task.onGap(20, 22);
    expect(task.position).toBe(12);
  });

  it('begins anew after a failed commit, from what the broker says is committed', async () => {
    const { state, task } = world();
    await task.start();
    state.failCommits = 1;
    state.now = 1_000;
    await task.onBatch(batch(0, 3));
    await eventually(
      'second start',
      () => state.calls.filter(c => c === 'fence').length === 2 && task.state === 'running',
    );
    expect(state.calls).toEqual(['pause', 'fence', 'fetch', 'close', 'pause', 'fence', 'fetch']);
    expect([task.position, state.readFrom, state.commits.length]).toEqual([0, 0, 0]);
  });

  it('tries again while the broker is away', async () => {
    const { state, task } = world();
    state.failOpens = 2;
    await task.start();
    expect(state.calls.filter(c => c === 'fence')).toHaveLength(3);
    expect(task.state).toBe('running');
  });

  it('begins again, with a writer that commits, where its consumer was joining the group anew', async () => {
    const { state, task } = world();
    state.failReads = 1;
    await task.start();
    expect([task.state, state.calls.filter(c => c === 'fence').length]).toEqual(['running', 2]);
    state.now = 1_000;
    await task.onBatch(batch(0, 3));
    await eventually('commit', () => state.commits.length === 1);
  });

  it('commits early when many clicks wait, and bounds what one transaction holds', async () => {
    const { state, task } = world();
    await task.start();
    await task.onBatch(batch(0, 5, 600));
    expect(state.commits.map(c => c.commit.offset)).toEqual([2, 4]);
  });

  it('commits more rarely while it is far behind, and at once when it has reached the end', async () => {
    const { state, task } = world();
    await task.start();
    state.now = 1_000;
    await task.onBatch({ ...batch(0, 3), highWatermark: 9 });
    expect(state.commits).toHaveLength(0);
    state.now = 2_000;
    await task.onBatch({ ...batch(3, 3), highWatermark: 9 });
    await eventually('commit', () => state.commits.length === 1);
    await task.onBatch({ ...batch(6, 3, 200), highWatermark: 10 });
    state.now = 2_500;
    await task.onBatch(batch(9, 1, 200));
    await eventually('commit', () => state.commits.length === 2);
    expect(state.commits.map(c => c.commit.offset)).toEqual([6, 10]);
  });

  it('writes nothing of a batch whose processing failed, and counts it again from the log', async () => {
    const { state, task } = world({ committed: checkpointAt(10), end: 13 });
    await task.start();
    state.now = 1_000;
    const broken = { ...batch(10, 3), records: failingAfter(batch(10, 3).records, 2) };
    await task.onBatch(broken);
    await task.close({ commit: true });
    expect(state.commits).toEqual([]);
    const { state: anew, task: again } = world({ committed: checkpointAt(10), end: 13 });
    await again.start();
    anew.now = 1_000;
    await again.onBatch(broken);
    await eventually('a new start', () => again.state === 'running' && anew.readFrom === 10);
    anew.now = 2_000;
    await again.onBatch(batch(10, 3));
    await eventually('commit', () => anew.commits.length === 1);
    expect(anew.commits[0]?.commit.offset).toBe(13);
  });

  it('commits in smaller pieces after a commit that failed, and in larger ones again after some that did not', async () => {
    const { state, task } = world({}, { commitMaxLines: 40_000 });
    await task.start();
    state.failCommits = 1;
    const records = (from: number) => task.onBatch(batch(from, 100, 500));
    await records(0);
    await eventually('a new start', () => state.readFrom === 0 && task.state === 'running');
    await records(0);
    expect(state.commits.map(c => c.commit.offset)).toEqual([40]);
    await records(100);
    expect(state.commits.map(c => c.commit.offset)).toEqual([40, 120, 200]);
  });

  it('beats while a batch waits for its commit, or its member would lose its partitions', async () => {
    const { state, task } = world();
    await task.start();
    state.commitTakes = 2_500;
    let beats = 0;
    await task.onBatch({
      ...batch(0, 3, 600),
      async heartbeat() {
        beats++;
        throw new Error('rebalance in progress');
      },
    });
    expect(state.commits).toHaveLength(1);
    expect(beats).toBe(2);
  });

  describe('that does not know the rules of a minute', () => {
    const nextMinute = minute0 + 60_000;
    /** Its records are one in each minute, from the present one on. */
    const minutes = (from: number, records: number): FetchedBatch => {
      const made = batch(from, records);
      const recordOf = (offset: number) => ({
        offset,
        timestamp: minute0 + 1_000,
        value: Buffer.from(ndjson(click({ clickedAt: minute0 + (offset - 10) * 60_000 }))),
      });
      return { ...made, records: Array.from({ length: records }, (_, i) => recordOf(from + i)) };
    };
    const counted = (state: ReturnType<typeof world>['state']) =>
      state.commits.map(({ commit }) => commit.offset).at(-1) ?? 10;

    it('counts no click of it, keeps what it has counted, and goes on there when it knows them', async () => {
      const { state, task } = world({ committed: checkpointAt(10), end: 13 });
      await task.start();
      state.rulesKnownUntil = nextMinute;
      state.calls.length = 0;
      await task.onBatch(minutes(10, 3));
      expect([task.position, task.rulesWait.minute, state.calls]).toEqual([11, nextMinute, ['pause']]);
      state.now = 10_000;
      task.onTimer();
      await eventually('commit', () => state.commits.length === 1);
      expect(counted(state)).toBe(11);
      state.readFrom = -1;
      task.onTimer();
      expect(state.readFrom).toBe(-1);
      state.rulesKnownUntil = nextMinute + 60_000;
      task.onTimer();
      expect([state.readFrom, task.rulesWait.minute]).toEqual([11, undefined]);
      await task.onBatch(minutes(11, 2));
      expect([task.position, task.rulesWait.minute]).toEqual([12, nextMinute + 60_000]);
      state.rulesKnownUntil = Number.POSITIVE_INFINITY;
      task.onTimer();
      await task.onBatch(minutes(12, 1));
      expect(task.position).toBe(13);
    });

    it('waits while it restores, too, and does not take a click for unknown that is dated too far ahead', async () => {
      const { state, task } = world({ committed: checkpointAt(14, 10), end: 20 });
      await task.start();
      state.rulesKnownUntil = nextMinute;
      await task.onBatch(minutes(10, 4));
      expect([task.state, task.position, task.rulesWait.minute]).toEqual(['restoring', 11, nextMinute]);
      const { state: other, task: another } = world({ committed: checkpointAt(17), end: 18 });
      await another.start();
      other.rulesKnownUntil = nextMinute;
      await another.onBatch(minutes(17, 1));
      expect([another.position, another.rulesWait.minute]).toEqual([18, undefined]);
    });

    it('goes on after a rebalance, when the consumer was away as the rules became known', async () => {
      const { state, task } = world({ committed: checkpointAt(10), end: 13 });
      await task.start();
      state.rulesKnownUntil = nextMinute;
      await task.onBatch(minutes(10, 3));
      state.rulesKnownUntil = Number.POSITIVE_INFINITY;
      state.failReads = 1;
      task.onTimer();
      expect(task.rulesWait.minute).toBeUndefined();
      task.resume();
      expect(state.readFrom).toBe(11);
    });

    it('says so no longer when it is closed or begins again', async () => {
      const { state, task } = world({ committed: checkpointAt(10), end: 13 });
      await task.start();
      state.rulesKnownUntil = nextMinute;
      await task.onBatch(minutes(10, 3));
      await task.close({ commit: false });
      expect(task.rulesWait.minute).toBeUndefined();
    });
  });

  it('commits nothing while nothing is read', async () => {
    const { state, task } = world({ committed: checkpointAt(10), end: 10 });
    await task.start();
    state.now = 10_000;
    task.onTimer();
    expect(state.commits).toHaveLength(0);
  });

  it('appends a tick when event time stands still at the end of the log, and none before the end', async () => {
    const { state, task } = world({ end: 3 });
    await task.start();
    state.now = 6_000;
    task.onTimer();
    expect(state.ticks).toBe(0);
    await task.onBatch(batch(0, 3));
    state.now = 10_999;
    task.onTimer();
    expect(state.ticks).toBe(0);
    state.now = 11_001;
    task.onTimer();
    expect(state.ticks).toBe(1);
  });

  it.each([
    [
      'retention has removed records of open minutes',
      { committed: checkpointAt(10, 4), start: 5, end: 20 },
      'retention has removed unread clicks',
    ],
    ['the topic was made anew', { committed: checkpointAt(10), start: 0, end: 9 }, 'the topic was created again'],
    ['there is no commit though the log begins later', { start: 5, end: 9 }, 'no committed offset'],
    [
      'the checkpoint is of a newer format',
      { committed: { offset: 7, metadata: '{"v":2,"restoreFrom":7}' }, end: 9 },
      'is unknown to release',
    ],
    ['the commit carries no checkpoint', { committed: { offset: 7, metadata: '' }, end: 9 }, 'has no checkpoint'],
  ])('halts, and reads nothing, where %s', async (_case, given, message) => {
    const { state, task } = world(given);
    await task.start();
    expect(task.state).toBe('halted');
    expect(task.haltedBy).toContain(message);
    expect(state.readFrom).toBe(-1);
  });

  it.each([
    ['a format', { adclicks_format: '2' }],
    ['formats', { adclicks_format: ['1', '1'] }],
  ])('halts before a record of %s that it does not know, once what stands before is committed', async (_, headers) => {
    const { state, task } = world({ committed: checkpointAt(10), end: 16 });
    await task.start();
    const known = batch(10, 6);
    const records = [...known.records].map((record, i) => (i === 4 ? { ...record, headers } : record));
    await task.onBatch({ ...known, records });
    expect(state.commits.map(c => c.commit.offset)).toEqual([14]);
    expect([task.state, state.calls.slice(-2)]).toEqual(['halted', ['pause', 'close']]);
    expect(task.haltedBy).toContain('topic clicks, partition 0, offset 14: header adclicks_format');
    state.now = 60_000;
    task.onTimer();
    task.onGap(14, 16);
    await task.onBatch(batch(14, 2));
    await task.close({ commit: true });
    expect([state.commits.length, state.ticks]).toEqual([1, 0]);
  });

  it('takes records whatever their kind, and of format 1 where they tell none', async () => {
    const { state, task } = world();
    await task.start();
    const known = batch(0, 3);
    const all = [{ kind: 'anything' }, { adclicks_format: '1', more: 'headers' }, undefined];
    const records = [...known.records].map((record, i) => ({ ...record, ...(all[i] ? { headers: all[i] } : {}) }));
    await task.onBatch({ ...known, records });
    await task.close({ commit: true });
    expect(state.commits.map(c => c.commit.offset)).toEqual([3]);
  });

  it('counts from a checkpoint with fields of a newer release', async () => {
    const committed = checkpointAt(10);
    const metadata = JSON.stringify({ ...JSON.parse(committed.metadata), acknowledged: { any: 1 } });
    const { task } = world({ committed: { ...committed, metadata }, end: 10 });
    await task.start();
    expect(task.state).toBe('running');
  });

  it('writes what it has counted before it is dropped in good order, and nothing after', async () => {
    const { state, task } = world();
    await task.start();
    await task.onBatch(batch(0, 2));
    await task.close({ commit: true });
    expect(state.commits.map(c => c.commit.offset)).toEqual([2]);
    await task.onBatch(batch(2, 2));
    state.now = 60_000;
    task.onTimer();
    expect([state.commits.length, state.ticks, state.calls.at(-1)]).toEqual([1, 0, 'close']);
  });

  it.each(everyTransition)('changes from %s to %s', async (from, to, walk) => {
    expect(await walk()).toEqual([from, to]);
  });

  it('has a walk above for every transition that is allowed', () => {
    const walked = everyTransition.map(([from, to]) => `${from} → ${to}`);
    const allowed = Object.entries(allowedTransitions).flatMap(([from, all]) => all.map(to => `${from} → ${to}`));
    expect(walked.sort()).toEqual(allowed.sort());
  });

  it('stays closed when it is closed twice at once', async () => {
    const { state, task } = world();
    await task.start();
    await task.onBatch(batch(0, 2));
    await Promise.all([task.close({ commit: true }), task.close({ commit: true })]);
    expect([task.state, state.commits.length]).toEqual(['closed', 1]);
  });
});
