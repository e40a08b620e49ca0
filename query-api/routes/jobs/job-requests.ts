/** Jobs, and their cancellations, as people ask for them: into the log, then wait a moment until everybody can see them. */
import { Retryable } from '../../../infra/errors.ts';
import type { RequestLog } from '../../log/request-log.ts';
import { type Patience, untilVisible } from '../../log/until-visible.ts';
import type { Job } from '../../store/jobs/job.ts';
import { type JobStore, jobRowOf } from '../../store/jobs/job-store.ts';

export interface JobRequests {
  /** @throws Retryable: the log has not answered */
  save(job: Job): Promise<void>;
  /** `at` in epoch ms. @throws Retryable likewise */
  cancel(id: string, at: number): Promise<void>;
}

export function createJobRequests(
  requests: RequestLog,
  store: Pick<JobStore, 'get' | 'cancelled'>,
  patience: Patience = { withinMs: 5_000 },
): JobRequests {
  /** What is in the log comes, sooner or later; to ask once more would make a second job. */
  const shown = async (what: string, isVisible: () => Promise<boolean>) => {
    try {
      await untilVisible(what, patience, isVisible);
    } catch (error) {
      if (!(error instanceof Retryable)) throw error;
    }
  };
  return {
    async save(job) {
      await requests.append('job', [jobRowOf(job)]);
      await shown(`job ${job.id}`, async () => (await store.get(job.id, [job.kind])) !== undefined);
    },
    async cancel(id, at) {
      await requests.append('cancellation', [{ job: id, at }]);
      await shown(`the cancellation of ${id}`, async () => (await store.cancelled([id])).has(id));
    },
  };
}
