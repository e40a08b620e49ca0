import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { Fenced, Retryable } from '../../../infra/errors.ts';
import { createJobLoop, type JobLoop, type JobLoopDeps } from '../../../query-api/jobs/runner/job-loop.ts';
import { type Job, newJob } from '../../../query-api/store/jobs/job.ts';
import { eventually } from '../../support/wait.ts';

const minuteMs = 60_000;
const now = Date.parse('2025-11-22T08:26:00Z');

let loops: JobLoop[] = [];
afterEach(async () => {
  await Promise.all(loops.map(loop => loop[Symbol.asyncDispose]()));
  loops = [];
});

const progress = [
  {
    ...{ partition: 0, partitions: 1, position: 1, watermark: now, final_until: now, appended_at: now, received: 0 },
    ...{ counted: 0, duplicates: 0, quarantined: 0, acknowledged: 0, missing: 0, invalid: 0, ids_per_ad_from: null },
  },
];

const asked = (minutes: number, given: Partial<Job> = {}): Job => ({
  ...newJob({ kind: 'replay', reason: 'replay', apply: true, from: now - minutes * minuteMs, to: now }, now),
  ...given,
});

/** Jobs in memory. A job works on each minute of its range for `stepMs`, and then asks whether it may go on. */
function world(given: Partial<JobLoopDeps> = {}, stepMs = 5) {
  const jobs = new Map<string, Job>();
  const cancelled = new Set<string>();
  const times = { store: now };
  /** The minutes of each job in the order in which they were done. */
  const done: { id: string; minute: number }[] = [];
  const store = {
    save: async (job: Job) => void jobs.set(job.id, job),
    caughtUp: async () => undefined,
    get: async (id: string) => jobs.get(id),
    open: async () => [...jobs.values()].filter(({ state }) => state === 'queued' || state === 'running'),
    cancelled: async (ids: readonly string[]) => new Set(ids.filter(id => cancelled.has(id))),
    time: async () => times.store,
  };
  const startLoop = () => {
    const loop = createJobLoop({
      store,
      gate: { passed: async open => new Set(open) },
      progress: async () => progress,
      now: () => now,
      log: pino({ level: 'silent' }),
      findWork: async () => false,
      run: async job => {
        for (let at = job; ; ) {
          await sleep(stepMs);
          done.push({ id: at.id, minute: at.position });
          at = { ...at, position: at.position + minuteMs, minutesDone: at.minutesDone + 1, seq: at.seq + 1 };
          await store.save(at);
          if (at.position >= at.to || !(await loop.mayGoOn(at))) return at;
        }
      },
      ...{ pauseMs: 1, turnMs: 40, restMs: 0 },
      ...given,
    });
    loops.push(loop);
    loop.start();
    return loop;
  };
  return {
    ...{ jobs, cancelled, times, done, startLoop },
    stateOf: (id: string) => jobs.get(id)?.state,
    minutesOf: (id: string) => done.filter(step => step.id === id).map(({ minute }) => minute),
    add: (job: Job) => {
      jobs.set(job.id, job);
      return job.id;
    },
  };
}

const range = (job: Job | undefined) =>
  Array.from({ length: job?.minutesTotal ?? 0 }, (_, i) => (job?.from ?? 0) + i * minuteMs);

describe('the loop of jobs', () => {
  it('runs a restatement of late clicks before the rest of a long job, which then continues from its position', async () => {
    const w = world();
    const long = w.add(asked(300));
    w.startLoop();
    await eventually('the long job runs', () => w.minutesOf(long).length > 5);
    const late = w.add(asked(3, { kind: 'restate', reason: 'late' }));
    await eventually('restated', () => w.stateOf(late) === 'done');
    expect(w.stateOf(long)).toBe('running');
    await eventually('the long job is done', () => w.stateOf(long) === 'done');
    expect(w.minutesOf(long)).toEqual(range(w.jobs.get(long)));
    expect(w.minutesOf(late)).toEqual(range(w.jobs.get(late)));
  });

  it('continues a job from its position after a restart', async () => {
    const w = world();
    const long = w.add(asked(60));
    const first = w.startLoop();
    await eventually('it runs', () => w.minutesOf(long).length > 15);
    await first[Symbol.asyncDispose]();
    expect(w.stateOf(long)).toBe('running');
    w.startLoop();
    await eventually('done', () => w.stateOf(long) === 'done');
    expect(w.minutesOf(long)).toEqual(range(w.jobs.get(long)));
  });

  it('does not let a short job wait for the end of long ones', async () => {
    const w = world();
    const long = [asked(2_000), asked(2_000), asked(2_000)].map(w.add);
    const short = w.add(asked(2));
    w.startLoop();
    await eventually('the short one is done', () => w.stateOf(short) === 'done');
    expect(long.map(w.stateOf)).toEqual(['running', 'running', 'running']);
  });

  it('continues with other jobs while one job meets only errors, and fails that job after hours', async () => {
    let at = now;
    const w = world();
    const bad = w.add(asked(5));
    const good = w.add(asked(5, { to: now }));
    const loop = createJobLoop({
      store: {
        save: async job => void w.jobs.set(job.id, job),
        caughtUp: async () => undefined,
        get: async id => w.jobs.get(id),
        open: async () => [...w.jobs.values()].filter(({ state }) => state === 'queued' || state === 'running'),
        cancelled: async () => new Set(),
        time: async () => now,
      },
      gate: { passed: async open => new Set(open) },
      progress: async () => progress,
      now: () => now,
      clock: () => at,
      log: pino({ level: 'silent' }),
      findWork: async () => false,
      run: async job => {
        if (job.id === bad) throw new Retryable('TIMEOUT_EXCEEDED');
        return { ...job, position: job.to };
      },
      ...{ pauseMs: 1, restMs: 0 },
    });
    loops.push(loop);
    loop.start();
    await eventually('the good one is done', () => w.stateOf(good) === 'done');
    expect(w.stateOf(bad)).toBe('running');
    at += 7 * 3_600_000;
    await eventually('the bad one has failed', () => w.stateOf(bad) === 'failed');
    expect(w.jobs.get(bad)?.error).toBe('TIMEOUT_EXCEEDED');
  });

  it('runs open jobs although it cannot find work that is due', async () => {
    const w = world({ findWork: () => Promise.reject(new Retryable('the scan takes too long')) });
    const job = w.add(asked(2));
    w.startLoop();
    await eventually('done', () => w.stateOf(job) === 'done');
  });

  it('reads what it has written: no job runs twice although ClickHouse shows its end later', async () => {
    const w = world();
    const job = w.add(asked(5));
    const shown = new Map(w.jobs);
    const loop = createJobLoop({
      store: {
        save: async saved => void w.jobs.set(saved.id, saved),
        caughtUp: async () => {
          for (const [id, saved] of w.jobs) shown.set(id, saved);
        },
        get: async id => shown.get(id),
        open: async () => [...shown.values()].filter(({ state }) => state === 'queued' || state === 'running'),
        cancelled: async () => new Set(),
        time: async () => now,
      },
      gate: { passed: async open => new Set(open) },
      progress: async () => progress,
      now: () => now,
      log: pino({ level: 'silent' }),
      findWork: async () => false,
      run: async running => {
        // A loop that runs the job again and again does not end here either. Then the test says so.
        await sleep(1);
        w.done.push({ id: running.id, minute: running.position });
        const next = { ...running, position: running.position + minuteMs, seq: running.seq + 1 };
        w.jobs.set(next.id, next);
        return next;
      },
      ...{ pauseMs: 1, restMs: 0 },
    });
    loops.push(loop);
    loop.start();
    await eventually('done', () => shown.get(job)?.state === 'done' || w.done.length > 100);
    expect(w.minutesOf(job)).toEqual(range(w.jobs.get(job)));
    // One row for the beginning, one for each minute, and one for the end.
    expect(w.jobs.get(job)?.seq).toBe(8);
  });

  it('does not fail a job because the term of its runner is over', async () => {
    let isFenced = true;
    const w = world({
      run: async running => {
        if (isFenced) throw new Fenced('another runner has fenced this one');
        return { ...running, position: running.to };
      },
    });
    const job = w.add(asked(5));
    w.startLoop();
    await eventually('it runs', () => w.stateOf(job) === 'running');
    await sleep(20);
    isFenced = false;
    await eventually('done', () => w.stateOf(job) === 'done');
  });

  it('ends a job that was cancelled in the middle of its turn', async () => {
    const w = world({ turnMs: 60_000 });
    const job = w.add(asked(10_000));
    w.startLoop();
    await eventually('it runs', () => w.minutesOf(job).length > 2);
    w.cancelled.add(job);
    await eventually('cancelled', () => w.stateOf(job) === 'cancelled');
  });

  it.each([
    ['', 35, 0],
    [' by the clock of ClickHouse, three days ahead of that of the job runner,', 33, 3],
  ])(
    'fails a job whose raw clicks have expired%s while it waited, and does not count them as 0',
    async (_, days, ahead) => {
      const w = world();
      w.times.store = now + ahead * 86_400_000;
      const from = now - days * 86_400_000;
      const job = w.add(asked(1, { from, position: from, to: from + minuteMs }));
      w.startLoop();
      await eventually('failed', () => w.stateOf(job) === 'failed');
      expect(w.jobs.get(job)?.error).toMatch(/^the raw clicks of its minutes are not kept any more/);
      expect(w.minutesOf(job)).toEqual([]);
    },
  );
});
