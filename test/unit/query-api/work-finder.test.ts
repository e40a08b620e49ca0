import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { createWorkFinder } from '../../../query-api/jobs/runner/work-finder.ts';
import { type Job, newJob } from '../../../query-api/store/jobs/job.ts';
import type { LateMinute } from '../../../query-api/store/jobs/late-minute-rows.ts';
import { splitClicksOf } from '../../../query-api/store/split-clicks.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const now = 500_000 * hourMs;

/** A finder over jobs in memory, with the rules of the store for what is due. */
function world({ repairs = false, due = [] as LateMinute[], split = [] as number[], minutesPerJob = 100 } = {}) {
  const jobs = new Map<string, Job>();
  const taken: LateMinute[] = [];
  const state = { at: now, due, split };
  const asked: (number | null)[] = [];
  const all = () => [...jobs.values()];
  const attemptsOf = (of: readonly Job[]) => ({
    attempts: of.length,
    ended_at: Math.max(0, ...of.map(({ updatedAt }) => updatedAt)),
  });
  const hasFailed = (of: readonly Job[]) => of.every(job => job.state === 'failed');
  const store = {
    save: async (job: Job) => void jobs.set(job.id, job),
    get: async (id: string) => jobs.get(id),
    lastHourly: async () =>
      all()
        .filter(({ reason }) => reason === 'hourly')
        .sort((a, b) => b.to - a.to)[0],
    failedHours: async () => {
      const hours = Map.groupBy(
        all().filter(({ reason }) => reason === 'hourly'),
        ({ from }) => from,
      );
      return [...hours].filter(([, of]) => hasFailed(of)).map(([from, of]) => ({ from, ...attemptsOf(of) }));
    },
    failedLateMinutes: async () =>
      all()
        .filter(({ reason, state: how }) => reason === 'late' && how === 'failed')
        .flatMap(job => job.minutes.filter(minute => minute >= job.position)),
    failedSplitMinutes: async () =>
      all()
        .filter(({ reason, state: how }) => reason === 'split' && how === 'failed')
        .map(job => ({ minutes: job.minutes.filter(minute => minute >= job.position), ended_at: job.updatedAt })),
    unrepaired: async () =>
      all()
        .filter(job => job.kind === 'reconcile' && job.state === 'done' && job.cellsChanged > 0)
        .map(({ id }) => ({ id, of: all().filter(job => job.result === JSON.stringify({ repairs: id })) }))
        .filter(({ of }) => hasFailed(of))
        .map(({ id, of }) => ({ id, ...attemptsOf(of) })),
  };
  const lateMinutes = {
    due: async () => state.due,
    get areAny() {
      return state.due.length > 0;
    },
    pending: async () => [],
    taken: (minutes: readonly LateMinute[]) => {
      taken.push(...minutes);
      state.due = state.due.filter(one => !minutes.includes(one));
      return { kind: 'minute-recount', rows: [] } as const;
    },
  };
  const lateQueue = { next: async (of: readonly LateMinute[]) => of.slice(0, minutesPerJob) };
  const splitClicks = async (finalUntil: number | null) => {
    asked.push(finalUntil);
    return splitClicksOf(state.split.map(minute => ({ minute, ad_id: 'a', clicks: 1 })));
  };
  const newFinder = () =>
    createWorkFinder({
      ...{ store, lateMinutes, lateQueue, splitClicks, repairs, scanMs: 0 },
      now: () => state.at,
      clock: () => state.at,
      log: pino({ level: 'silent' }),
    });
  let find = newFinder();
  return {
    store,
    state,
    /** The first look of a new process, in the hour that ends with `now`. */
    begin: () => find({ finalUntil: now - 10 * minuteMs, quarantined: 0 }, []),
    jobs: all,
    asked,
    taken,
    restart() {
      find = newFinder();
    },
    look: (finalUntil = state.at, open = all().filter(job => ['queued', 'running'].includes(job.state))) =>
      find({ finalUntil, quarantined: 0 }, open),
    end(job: Job | undefined, how: Partial<Job>) {
      if (job) jobs.set(job.id, { ...job, updatedAt: state.at, ...how });
    },
  };
}

const hoursOf = (jobs: readonly Job[]) => jobs.map(({ to }) => (to - now) / hourMs);

it('sees the result of a job that was open at the last look', async () => {
  const w = world({ repairs: true });
  await w.begin();
  await w.look();
  const [job] = w.jobs();
  await w.look(now);
  const result = JSON.stringify({ cells: 9, differing: 1, conflicts: 0, ads: [], minutes: [now - minuteMs] });
  w.end(job, { state: 'done', cellsChanged: 1, result });
  await w.look(now, []);
  expect(w.jobs().filter(({ reason, kind }) => kind === 'restate' && reason === 'reconcile').length).toBe(1);
});

describe('hourly reconciliation', () => {
  it('is made once for each hour that has become final, in order, also after a restart', async () => {
    const w = world();
    await w.begin();
    expect(w.jobs()).toEqual([]);
    await w.look(now, []);
    await w.look(now, []);
    expect(w.jobs()).toMatchObject([{ from: now - hourMs, to: now, kind: 'reconcile', reason: 'hourly' }]);
    w.restart();
    for (let i = 0; i < 3; i++) await w.look(now + 2 * hourMs, []);
    expect(hoursOf(w.jobs())).toEqual([0, 1, 2]);
  });

  it('is made again after it has failed, each time after a longer pause, until it is done', async () => {
    const w = world();
    await w.begin();
    await w.look();
    for (const pauseMs of [600_000, 1_200_000, 2_400_000]) {
      w.end(w.jobs().at(-1), { state: 'failed' });
      w.restart();
      w.state.at += pauseMs - 1;
      await w.look(now);
      expect(w.jobs().filter(({ state }) => state === 'queued')).toEqual([]);
      w.state.at += 1;
      await w.look(now);
      expect(w.jobs().filter(({ state }) => state === 'queued')).toMatchObject([{ from: now - hourMs, to: now }]);
    }
    w.end(w.jobs().at(-1), { state: 'done' });
    w.state.at += 100 * hourMs;
    await w.look(now);
    expect(w.jobs().length).toBe(4);
  });

  it('of an hour that always fails delays no later hour', async () => {
    const w = world();
    await w.begin();
    await w.look();
    w.end(w.jobs()[0], { state: 'failed' });
    w.state.at += 5 * hourMs;
    for (let i = 0; i < 7; i++) {
      await w.look();
      for (const job of w.jobs()) if (job.state === 'queued') w.end(job, { state: job.to === now ? 'failed' : 'done' });
    }
    const done = w.jobs().filter(({ state }) => state === 'done');
    expect(hoursOf(done)).toEqual([1, 2, 3, 4, 5]);
  });

  it('continues with the next hour when one makes no progress for long', async () => {
    const w = world();
    await w.begin();
    await w.look();
    w.state.at += hourMs;
    await w.look();
    expect(hoursOf(w.jobs())).toEqual([0, 1]);
    await w.look();
    expect(w.jobs().length).toBe(2);
  });
});

describe('a repair', () => {
  const found = (minutes: readonly number[]) => ({
    ...newJob({ kind: 'reconcile', reason: 'asked', apply: false, from: now - hourMs, to: now }, now),
    ...({ state: 'done', cellsChanged: minutes.length } as const),
    result: JSON.stringify({ cells: 9, differing: minutes.length, conflicts: 0, ads: [], minutes }),
  });
  const minutes = [now - 40 * minuteMs, now - 10 * minuteMs];
  const repairsOf = (jobs: readonly Job[]) => jobs.filter(({ kind }) => kind === 'restate');

  it('restates the minutes in which drift was found, once, if repairs are switched on', async () => {
    for (const repairs of [true, false]) {
      const w = world({ repairs });
      await w.store.save(found(minutes));
      await w.look();
      await w.look();
      expect(repairsOf(w.jobs())).toMatchObject(
        repairs ? [{ reason: 'reconcile', apply: true, minutes, from: minutes[0], to: now - 9 * minuteMs }] : [],
      );
    }
  });

  it('is made although the result of another reconciliation cannot be read', async () => {
    const w = world({ repairs: true });
    await w.store.save({ ...found(minutes), result: '{"minutes":"all"}' });
    const readable = found(minutes);
    await w.store.save(readable);
    await w.look();
    expect(repairsOf(w.jobs())).toMatchObject([{ result: JSON.stringify({ repairs: readable.id }) }]);
  });

  it('is made again after it has failed, and when the process ended before it was made', async () => {
    const w = world({ repairs: true });
    await w.store.save(found(minutes));
    w.restart();
    await w.look();
    w.end(repairsOf(w.jobs())[0], { state: 'failed' });
    w.state.at += 600_000 - 1;
    await w.look(now);
    expect(repairsOf(w.jobs()).length).toBe(1);
    w.state.at += 1;
    await w.look(now);
    expect(repairsOf(w.jobs()).map(({ state }) => state)).toEqual(['failed', 'queued']);
    w.end(repairsOf(w.jobs())[1], { state: 'done' });
    w.state.at += 10 * hourMs;
    await w.look(now);
    expect(repairsOf(w.jobs()).length).toBe(2);
  });
});

describe('late minutes', () => {
  const due = Array.from({ length: 250 }, (_, i) => ({ day: 20_000, minute: now - (300 - i) * minuteMs, lines: 1 }));
  const lateOf = (jobs: readonly Job[]) => jobs.filter(({ reason }) => reason === 'late');

  it('are restated in one limited job after another, none twice, and none is left', async () => {
    const w = world({ due });
    for (let i = 0; i < 5; i++) {
      await w.look();
      await w.look();
      w.end(lateOf(w.jobs()).at(-1), { state: 'done' });
    }
    expect(lateOf(w.jobs()).map(job => job.minutes.length)).toEqual([100, 100, 50]);
    expect(w.taken).toEqual(due);
  });

  it('are not delayed by a repair, nor for long by other late minutes that make no progress', async () => {
    const w = world({ due });
    const range = { from: now - hourMs, to: now };
    await w.store.save(newJob({ kind: 'restate', reason: 'reconcile', apply: true, ...range }, now));
    await w.look();
    expect(lateOf(w.jobs()).length).toBe(1);
    w.state.at += minuteMs - 1;
    await w.look(now);
    expect(lateOf(w.jobs()).length).toBe(1);
    w.state.at += 1;
    await w.look(now);
    expect(lateOf(w.jobs()).length).toBe(2);
  });

  it('that were in one job with a minute that cannot be recounted are still restated', async () => {
    const bad = due[40]?.minute ?? 0;
    const w = world({ due });
    const counted = new Set<number>();
    for (let i = 0; i < 300; i++) {
      await w.look();
      const job = lateOf(w.jobs()).find(({ state }) => state === 'queued');
      if (job === undefined) break;
      const position = job.minutes.includes(bad) ? bad : job.to;
      for (const minute of job.minutes) if (minute < position) counted.add(minute);
      w.end(job, { state: position === bad ? 'failed' : 'done', position });
      // Everything that the job held is due again after the pause.
      if (position === bad) w.state.due = [...w.state.due, ...due.filter(({ minute }) => job.minutes.includes(minute))];
    }
    expect(counted.size).toBe(due.length - 1);
  });

  it('are found although hours or repairs cannot be found', async () => {
    const w = world({ due, repairs: true });
    const away = () => Promise.reject(new Error('too slow'));
    Object.assign(w.store, { lastHourly: away, unrepaired: away });
    await expect(w.look()).rejects.toThrow('too slow');
    expect(lateOf(w.jobs()).length).toBe(1);
  });
});

describe('minutes of split ads', () => {
  const split = Array.from({ length: 70 }, (_, i) => now - (100 - i) * minuteMs);
  const splitOf = (jobs: readonly Job[]) => jobs.filter(({ reason }) => reason === 'split');

  /** Runs the open job: what it has recounted does not wait any more. */
  function run(w: ReturnType<typeof world>, bad?: number) {
    const job = w.jobs().find(({ kind, state }) => kind === 'restate' && state === 'queued');
    if (job === undefined) return false;
    const position = bad !== undefined && job.minutes.includes(bad) ? bad : job.to;
    w.state.split = w.state.split.filter(minute => !(job.minutes.includes(minute) && minute < position));
    w.end(job, { state: position === bad ? 'failed' : 'done', position });
    return true;
  }

  it('are restated by limited jobs, the oldest first, each once, also after a restart', async () => {
    const w = world({ split });
    for (let i = 0; i < 4; i++) {
      await w.look();
      w.restart();
      await w.look();
      run(w);
    }
    expect(splitOf(w.jobs()).map(job => job.minutes)).toEqual([
      split.slice(0, 30),
      split.slice(30, 60),
      split.slice(60),
    ]);
    const [first] = splitOf(w.jobs());
    expect(first).toMatchObject({ kind: 'restate', apply: true, from: split[0], to: (split[29] ?? 0) + minuteMs });
  });

  it('are asked for up to where counts are final', async () => {
    const w = world({ split });
    await w.look(now - 7);
    expect(w.asked).toEqual([now - 7]);
  });

  it('are not in a job for late clicks at the same time, and neither waits for ever for the other', async () => {
    const late = (i: number) => ({ day: 20_000, minute: now - (300 - i) * minuteMs, lines: 1 });
    const w = world({ split, due: [late(0)] });
    const reasons: string[] = [];
    for (let i = 0; i < 6; i++) {
      await w.look();
      await w.look();
      const open = w.jobs().filter(({ kind, state }) => kind === 'restate' && state === 'queued');
      expect(open.length).toBeLessThanOrEqual(1);
      if (open[0]) reasons.push(open[0].reason);
      run(w);
      w.state.due = [late(i + 1)];
    }
    expect(reasons.filter(reason => reason === 'split').length).toBe(3);
    expect(w.state.split).toEqual([]);
  });

  it('of a job that has failed wait for a pause, and the one that cannot be recounted delays no other', async () => {
    const bad = split[3] ?? 0;
    const w = world({ split });
    await w.look();
    run(w, bad);
    w.state.at += 600_000 - 1;
    await w.look(now);
    // Those that the failed job has not reached are held, and the others are not.
    expect(splitOf(w.jobs())[1]?.minutes).toEqual(split.slice(30, 60));
    for (let i = 0; i < 40; i++) {
      run(w, bad);
      w.state.at += 60_000;
      await w.look(now);
    }
    expect(w.state.split).toEqual([bad]);
    const alone = splitOf(w.jobs()).filter(({ minutes }) => minutes.includes(bad) && minutes.length === 1);
    expect(alone.length).toBeGreaterThan(1);
    expect(alone.length).toBeLessThan(6);
  });
});
