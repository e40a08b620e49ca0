import { describe, expect, it } from 'vitest';
import { createAskedJobs } from '../../../query-api/routes/jobs/asked-jobs.ts';
import { type Job, newJob } from '../../../query-api/store/jobs/job.ts';

const minuteMs = 60_000;
const asked = (kind: 'replay' | 'reconcile') =>
  newJob({ kind, reason: kind === 'replay' ? 'replay' : 'asked', apply: false, from: 0, to: minuteMs }, 0);

/** ClickHouse, which shows what is in the log as soon as a sink has copied it. */
function storeOf() {
  const open: Job[] = [];
  const log: Job[] = [];
  const sink = { runs: true };
  const copy = () => {
    if (sink.runs) open.push(...log.splice(0));
  };
  return {
    ...{ open, log, sink },
    openAsked: async (kind: Job['kind']) => {
      copy();
      return open.filter(job => job.kind === kind).length;
    },
    get: async (id: string) => {
      copy();
      return open.find(job => job.id === id);
    },
    save: async (job: Job) => {
      log.push(job);
      copy();
      return sink.runs;
    },
  };
}

/** Owners that may have as many as they like. */
const unlimited = { check: async () => undefined, add: () => undefined };
const askedJobs = (store: Parameters<typeof createAskedJobs>[0], limit: number) => {
  const { take } = createAskedJobs(store, limit, unlimited);
  return { take: (job: Job) => take(job, { client: { network: '192.0.2.1' }, key: undefined }) };
};

describe('jobs that people ask for', () => {
  it('are refused above the limit of their kind, with the limit and the number of open jobs', async () => {
    const store = storeOf();
    const { take } = askedJobs(store, 2);
    await take(asked('replay'));
    await take(asked('replay'));
    await expect(take(asked('replay'))).rejects.toMatchObject({
      ...{ status: 429, code: 'too_many_open_jobs', retryAfterS: 30 },
      extra: { kind: 'replay', limit: 2, open: 2 },
      message: expect.stringMatching(
        /^2 replays are queued or running, and at most 2 may be \(JOBS_MAX_OPEN\): .*DELETE/,
      ),
    });
    await take(asked('reconcile'));
    store.open.shift();
    await take(asked('replay'));
    expect(store.open.map(({ kind }) => kind)).toEqual(['replay', 'reconcile', 'replay']);
  });

  it('are counted one after another, even if they are asked for at the same moment', async () => {
    const store = storeOf();
    const { take } = askedJobs(store, 3);
    const answers = await Promise.allSettled(Array.from({ length: 10 }, () => take(asked('replay'))));
    expect(answers.filter(({ status }) => status === 'fulfilled').length).toBe(3);
    expect(store.open.length).toBe(3);
  });

  it('are counted also while no sink runs, so that no number of them waits in the log', async () => {
    const store = storeOf();
    store.sink.runs = false;
    const { take } = askedJobs(store, 3);
    const ask = async (most: number) => {
      const asks = await Promise.allSettled(Array.from({ length: most }, () => take(asked('replay'))));
      return asks.filter(({ status }) => status === 'fulfilled').length;
    };
    expect([await ask(10), await ask(10), store.log.length]).toEqual([3, 0, 3]);
    store.sink.runs = true;
    expect([await ask(1), store.open.length]).toEqual([0, 3]);
    store.open.shift();
    expect([await ask(10), store.open.length]).toEqual([1, 3]);
  });

  it('are forgotten when the log has not answered and they are not shown for a minute', async () => {
    const store = storeOf();
    let isAway = true;
    const save = async (job: Job) => {
      if (isAway) throw new Error('no answer');
      return store.save(job);
    };
    let atMs = 0;
    const { take } = createAskedJobs({ ...store, save }, 1, unlimited, () => atMs);
    const owner = { client: { network: '192.0.2.1' }, key: undefined };
    await expect(take(asked('replay'), owner)).rejects.toThrow('no answer');
    isAway = false;
    await expect(take(asked('replay'), owner)).rejects.toMatchObject({ code: 'too_many_open_jobs' });
    atMs = 60_000;
    await take(asked('replay'), owner);
    expect(store.open.length).toBe(1);
  });

  it('that wait for others have a limit', async () => {
    const { take } = askedJobs(storeOf(), 100);
    const answers = await Promise.allSettled(Array.from({ length: 40 }, () => take(asked('replay'))));
    expect(answers.filter(({ status }) => status === 'fulfilled').length).toBe(33);
    expect(answers.at(-1)).toMatchObject({ reason: { status: 503, code: 'busy', retryAfterS: 1 } });
  });

  it('are accepted again after the store was away', async () => {
    const store = storeOf();
    let isAway = true;
    const openAsked = async (kind: Job['kind']) => {
      if (isAway) throw new Error('away');
      return store.openAsked(kind);
    };
    const { take } = askedJobs({ ...store, openAsked }, 1);
    await expect(take(asked('replay'))).rejects.toThrow('away');
    isAway = false;
    await take(asked('replay'));
    expect(store.open.length).toBe(1);
  });
});
