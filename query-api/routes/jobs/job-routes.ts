/** Registers the routes of jobs: replays and reconciliations. The same limit of open jobs applies to each kind. */
import type { Http } from '../../../infra/http.ts';
import type { RequestLog } from '../../log/request-log.ts';
import { createAskedJobs } from './asked-jobs.ts';
import type { JobRoutesDeps } from './job-deps.ts';
import { createJobRequests } from './job-requests.ts';
import { routeReconciliations } from './reconciliations.ts';
import { routeReplays } from './replays.ts';

export interface JobRoutesOptions extends Omit<JobRoutesDeps, 'askedJobs' | 'jobRequests'> {
  readonly requests: RequestLog;
  /** The most open jobs of each kind. */
  readonly maxOpen: number;
}

export function routeJobs(http: Http, { requests, maxOpen, ...deps }: JobRoutesOptions): void {
  const jobRequests = createJobRequests(requests, deps.jobs);
  const askedJobs = createAskedJobs({ ...deps.jobs, ...jobRequests }, maxOpen);
  routeReplays(http, { ...deps, askedJobs, jobRequests });
  routeReconciliations(http, { ...deps, askedJobs, jobRequests });
}
