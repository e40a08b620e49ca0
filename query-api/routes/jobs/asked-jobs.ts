/**
 * Accepts jobs that people ask for, as long as not too many jobs of their kind are open. Without a limit the list could
 * take days to work off, and nobody would remember who asked for what. Only jobs of people count. Jobs that the pipeline
 * makes by itself do not use up the limit and are not limited by it.
 *
 * Open jobs are counted in ClickHouse, which does not show at once what is written. So jobs of this process that are not
 * shown yet, for instance because no sink runs, are counted besides. When several processes accept jobs at the same
 * moment, the limit can be exceeded by at most one job per additional process, and while no sink runs by the limit of
 * each. That does no harm: the job runner looks at jobs of the pipeline first, and at 300 in all.
 */

import { Problem } from '../../../infra/http.ts';
import { inTurn } from '../../http/in-turn.ts';
import type { Job } from '../../store/jobs/job.ts';
import type { JobStore } from '../../store/jobs/job-store.ts';
import type { JobOwner, JobOwners } from './job-owners.ts';
import type { JobRequests } from './job-requests.ts';

export interface AskedJobs {
  /** @throws Problem when a limit is reached */
  take(job: Job, owner: JobOwner): Promise<void>;
}

interface Unseen extends Pick<Job, 'id' | 'kind'> {
  readonly untilMs: number;
}

export function createAskedJobs(
  store: Pick<JobStore, 'openAsked' | 'get'> & Pick<JobRequests, 'save'>,
  limit: number,
  owners: JobOwners,
  now = () => performance.now(),
): AskedJobs {
  // Jobs are accepted one after another. Two at the same time would each count the open jobs without the other.
  const turns = inTurn('requests for jobs');
  /** Those that are written and were not shown when somebody last looked. The limit holds for them, too. */
  let unseen: readonly Unseen[] = [];

  const unseenOf = async (kind: Job['kind']): Promise<number> => {
    const isUnseen = async (job: Unseen) => now() < job.untilMs && (await store.get(job.id, [job.kind])) === undefined;
    const areUnseen = await Promise.all(unseen.map(isUnseen));
    unseen = unseen.filter((_, i) => areUnseen[i]);
    return unseen.filter(job => job.kind === kind).length;
  };
  const save = async (job: Job) => {
    // Nobody knows whether it is in the log, unless the log answers. Then it stays there until it is shown.
    let untilMs = now() + mostUnseenMs;
    let isShown = false;
    try {
      isShown = await store.save(job);
      untilMs = Number.POSITIVE_INFINITY;
    } finally {
      if (!isShown) unseen = [...unseen, { ...job, untilMs }];
    }
  };
  return {
    take: (job, owner) =>
      turns(async () => {
        const { kind } = job;
        await owners.check(owner);
        // In this order: one that is shown in between is counted twice, and not left out.
        const open = (await unseenOf(kind)) + (await store.openAsked(kind));
        if (open >= limit) throw tooMany(kind, open, limit);
        // It may be in the log although the log did not answer.
        owners.add(owner, job);
        await save(job);
      }),
  };
}

/** A job that the store does not show after so long did not come into the log, if the log has not answered. */
const mostUnseenMs = 60_000;

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
