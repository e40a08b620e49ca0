/** Registers the routes of jobs: replays and reconciliations. The same limit of open jobs applies to each kind. */
import type { Http } from '../../../infra/http.ts';
import type { KeyQuotas } from '../../../infra/key-quotas/key-quotas.ts';
import type { RequestLog } from '../../log/request-log.ts';
import { createAskedJobs } from './asked-jobs.ts';
import type { JobRoutesDeps } from './job-deps.ts';
import { createJobOwners } from './job-owners.ts';
import { createJobRequests } from './job-requests.ts';
import { routeReconciliations } from './reconciliations.ts';
import { routeReplays } from './replays.ts';

export interface JobRoutesOptions extends Omit<JobRoutesDeps, 'askedJobs' | 'jobRequests'> {
  readonly requests: RequestLog;
  /** The most open jobs of each kind. */
  readonly maxOpen: number;
  /** The most that one client address has asked for. */
  readonly maxOpenPerClient: number;
  readonly quotas: KeyQuotas;
}

export function routeJobs(
  http: Http,
  { requests, maxOpen, maxOpenPerClient, quotas, ...deps }: JobRoutesOptions,
): void {
  const jobRequests = createJobRequests(requests, deps.jobs);
  const owners = createJobOwners({ store: deps.jobs, quotas, maxPerClient: maxOpenPerClient });
  const askedJobs = createAskedJobs({ ...deps.jobs, ...jobRequests }, maxOpen, owners);
  routeReplays(http, { ...deps, askedJobs, jobRequests });
  routeReconciliations(http, { ...deps, askedJobs, jobRequests });
}
