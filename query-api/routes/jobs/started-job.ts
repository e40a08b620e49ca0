/** Starts a job for a route: checks the range, saves the job, and answers where it can be looked at. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { finalityOf } from '../../store/finality.ts';
import { type Job, newJob } from '../../store/jobs/job.ts';
import { type AskedRangeOfJob, askedRange } from './job-answer.ts';
import type { JobRoutesDeps } from './job-deps.ts';

/**
 * Answers with 202 and the address of the job, which is `path` and its id. @throws Problem when the range cannot be
 * recounted, or when too many jobs of this kind are open
 */
export async function startJob(
  { queries, askedJobs, clients, now, rules }: JobRoutesDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  path: string,
  asked: AskedRangeOfJob,
  wanted: Pick<Job, 'kind' | 'reason' | 'apply'> & Partial<Pick<Job, 'result'>>,
): Promise<Job> {
  const range = askedRange(asked, rules(), finalityOf(await queries.progress()));
  const job = newJob({ ...wanted, ...range }, now());
  await askedJobs.take(job, { client: clients.of(request.raw), key: request.apiKey });
  reply.code(202).header('location', `${path}/${job.id}`);
  return job;
}
