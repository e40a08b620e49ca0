/**
 * Takes jobs that people ask for, as long as not too many of their kind are open: a list without limit would be worked
 * off for days, and nobody would know who asked for what any more. Counted are those of people alone: what the pipeline does
 * by itself is neither hindered by them nor hinders them. Several processes that take jobs at the same moment may go
 * above the limit by their number.
 */
import { Problem } from '../../../infra/http.ts';
import type { Job } from '../../store/jobs/job.ts';
import type { JobStore } from '../../store/jobs/job-store.ts';
import type { JobRequests } from './job-requests.ts';

export interface AskedJobs {
  /** @throws Problem where the limit is reached */
  take(job: Job): Promise<void>;
}

export function createAskedJobs(
  store: Pick<JobStore, 'openAsked'> & Pick<JobRequests, 'save'>,
  limit: number,
): AskedJobs {
  let before: Promise<unknown> = Promise.resolve();

  const takeOne = async (job: Job) => {
    const { kind } = job;
    const open = await store.openAsked(kind);
    if (open >= limit) throw tooMany(kind, open, limit);
    await store.save(job);
  };

  return {
    // One after another: of two at a time, both would count what was open without the other.
    take(job) {
      const taken = before.then(() => takeOne(job));
      before = taken.catch(() => undefined);
      return taken;
    },
  };
}

function tooMany(kind: Job['kind'], open: number, limit: number): Problem {
  const [name, remedy] =
    kind === 'replay' ? ['replays', ', or end one with DELETE /v1/replays/{id}'] : ['reconciliations', ''];
  return new Problem(
    429,
    'too_many_open_jobs',
    `${open} ${name} wait or run, and at most ${limit} may (JOBS_MAX_OPEN): wait until one is done${remedy}`,
    { kind, limit, open },
    retryAfterS,
  );
}

const retryAfterS = 30;
