/** Writes jobs and cancellations that people ask for into the log, and waits until the store shows them. */
import { Retryable } from '../../../infra/errors.ts';
import type { RequestLog } from '../../log/request-log.ts';
import { type Patience, untilVisible } from '../../log/until-visible.ts';
import type { Job } from '../../store/jobs/job.ts';
import { type JobStore, jobRowOf } from '../../store/jobs/job-store.ts';

export interface JobRequests {
  /** Returns whether the store shows it already. @throws Retryable when the log does not answer */
  save(job: Job): Promise<boolean>;
  /** `at` is in epoch ms. @throws Retryable when the log does not answer */
  cancel(id: string, at: number): Promise<void>;
}

export function createJobRequests(
  requests: RequestLog,
  store: Pick<JobStore, 'get' | 'cancelled'>,
  patience: Patience = { withinMs: 5_000 },
): JobRequests {
  /** Gives up quietly: what is in the log will become visible, and an error would make the client ask for a second job. */
  const shown = async (what: string, isVisible: () => Promise<boolean>): Promise<boolean> => {
    try {
      await untilVisible(what, patience, isVisible);
      return true;
    } catch (error) {
      if (!(error instanceof Retryable)) throw error;
      return false;
    }
  };
  return {
    async save(job) {
      await requests.append('job', [jobRowOf(job)]);
      return await shown(`job ${job.id}`, async () => (await store.get(job.id, [job.kind])) !== undefined);
    },
    async cancel(id, at) {
      await requests.append('cancellation', [{ job: id, at }]);
      await shown(`the cancellation of ${id}`, async () => (await store.cancelled([id])).has(id));
    },
  };
}
