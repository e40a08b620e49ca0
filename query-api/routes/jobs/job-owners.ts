/**
 * Limits how many open jobs one API key and one client address may have asked this process for, so that nobody uses up
 * the few that may be open in total. It remembers who has asked for which, and asks the store which of them are still
 * open only when somebody has reached the limit. A process that starts anew has forgotten it; the limit for all holds
 * nevertheless (asked-jobs.ts).
 */
import type { Client } from '../../../infra/http-clients.ts';
import type { KeyQuotas } from '../../../infra/key-quotas/key-quotas.ts';
import type { Key } from '../../../infra/keys/key-book.ts';
import { Problem } from '../../../infra/problem.ts';
import type { Job } from '../../store/jobs/job.ts';
import type { JobStore } from '../../store/jobs/job-store.ts';

/** Who asks for a job. */
export interface JobOwner {
  readonly client: Pick<Client, 'network'>;
  readonly key: Key | undefined;
}

export interface JobOwners {
  /** @throws Problem 429 */
  check(owner: JobOwner): Promise<void>;
  /** The job was saved. */
  add(owner: JobOwner, job: Job): void;
}

export interface JobOwnersDeps {
  readonly store: Pick<JobStore, 'get'>;
  readonly quotas: KeyQuotas;
  readonly maxPerClient: number;
  /** Milliseconds of a clock that does not go back. */
  readonly now?: () => number;
}

interface Asked extends Pick<Job, 'id' | 'kind'> {
  readonly atMs: number;
}

export function createJobOwners({
  store,
  quotas,
  maxPerClient,
  now = () => performance.now(),
}: JobOwnersDeps): JobOwners {
  /** By key or network. The one that has asked the longest ago is the first. */
  const askedBy = new Map<string, readonly Asked[]>();
  const openOf = async (name: string, most: number): Promise<number> => {
    const known = askedBy.get(name) ?? [];
    if (known.length < most) return known.length;
    const isOpen = async ({ id, kind, atMs }: Asked) => {
      const job = await store.get(id, [kind]);
      return job === undefined ? now() - atMs < mostUnseenMs : job.state === 'queued' || job.state === 'running';
    };
    const areOpen = await Promise.all(known.map(isOpen));
    const open = known.filter((_, i) => areOpen[i]);
    askedBy.set(name, open);
    return open.length;
  };
  return {
    async check({ client, key }) {
      if (key) {
        const most = quotas.mostOf(key, 'open_jobs');
        if ((await openOf(`key ${key.id}`, most)) >= most) throw quotas.refuse(key, 'open_jobs');
      }
      if ((await openOf(client.network, maxPerClient)) >= maxPerClient) throw tooMany(client, maxPerClient);
    },
    add({ client, key }, { id, kind }) {
      for (const name of [client.network, ...(key ? [`key ${key.id}`] : [])]) {
        const known = askedBy.get(name) ?? [];
        askedBy.delete(name);
        askedBy.set(name, [...known, { id, kind, atMs: now() }]);
      }
      while (askedBy.size > mostOwners) askedBy.delete(askedBy.keys().next().value ?? '');
    },
  };
}

function tooMany({ network }: Pick<Client, 'network'>, most: number): Problem {
  const detail = `${most} jobs that ${network} has asked for are queued or running, which is the limit (JOBS_MAX_OPEN_PER_CLIENT)`;
  const limit = { policy: 'client-jobs', quota: most, ownUnit: 'jobs', remaining: 0 };
  return new Problem(429, 'client_jobs', detail, {}, retryAfterS, limit);
}

const retryAfterS = 30;
/** A job that the store does not show after so long did not come into the log. */
const mostUnseenMs = 60_000;
/** Each has at least one open job, and there are few of them in total. */
const mostOwners = 1_000;
