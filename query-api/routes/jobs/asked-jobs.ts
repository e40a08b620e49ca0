/**
 * Accepts jobs that people ask for, as long as not too many jobs of their kind are open. Without a limit the list could
 * take days to work off, and nobody would remember who asked for what. Only jobs of people count. Jobs that the pipeline
 * makes by itself do not use up the limit and are not limited by it. When several processes accept jobs at the same
 * moment, the limit can be exceeded by at most one job per additional process.
 */
import { Problem } from '../../../infra/http.ts';
import type { Job } from '../../store/jobs/job.ts';
import type { JobStore } from '../../store/jobs/job-store.ts';
import type { JobOwner, JobOwners } from './job-owners.ts';
import type { JobRequests } from './job-requests.ts';

export interface AskedJobs {
  /** @throws Problem when a limit is reached */
  take(job: Job, owner: JobOwner): Promise<void>;
}

export function createAskedJobs(
  store: Pick<JobStore, 'openAsked'> & Pick<JobRequests, 'save'>,
  limit: number,
  owners: JobOwners,
): AskedJobs {
  let before: Promise<unknown> = Promise.resolve();

  const takeOne = async (job: Job, owner: JobOwner) => {
    const { kind } = job;
    await owners.check(owner);
    const open = await store.openAsked(kind);
    if (open >= limit) throw tooMany(kind, open, limit);
    // It may be in the log although the log did not answer.
    owners.add(owner, job);
    await store.save(job);
  };

  return {
    // Jobs are accepted one after another. Two at the same time would each count the open jobs without the other.
    take(job, owner) {
      const taken = before.then(() => takeOne(job, owner));
      before = taken.catch(() => undefined);
      return taken;
    },
  };
}

function tooMany(kind: Job['kind'], open: number, limit: number): Problem {
  const [name, remedy] =
    kind === 'replay' ? ['replays', ', or cancel one with DELETE /v1/replays/{id}'] : ['reconciliations', ''];
  return new Problem(
    429,
    'too_many_open_jobs',
    `${open} ${name} are queued or running, and at most ${limit} may be (JOBS_MAX_OPEN): wait until one is done${remedy}`,
    { kind, limit, open },
    retryAfterS,
  );
}

const retryAfterS = 30;
