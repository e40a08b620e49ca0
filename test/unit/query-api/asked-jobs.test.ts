import { describe, expect, it } from 'vitest';
import { createAskedJobs } from '../../../query-api/routes/jobs/asked-jobs.ts';
import { type Job, newJob } from '../../../query-api/store/jobs/job.ts';

const minuteMs = 60_000;
const asked = (kind: 'replay' | 'reconcile') =>
  newJob({ kind, reason: kind === 'replay' ? 'replay' : 'asked', apply: false, from: 0, to: minuteMs }, 0);

function storeOf() {
  const open: Job[] = [];
  return {
    open,
    openAsked: async (kind: Job['kind']) => open.filter(job => job.kind === kind).length,
    save: async (job: Job) => void open.push(job),
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
