/** The dependencies of the routes of jobs. */
import type { Clients } from '../../../infra/http-clients.ts';
import type { RangeRules } from '../../http/asked-range.ts';
import type { ValidityRulesLog } from '../../log/validity-rules.ts';
import type { Store } from '../../store/open-store.ts';
import type { AskedJobs } from './asked-jobs.ts';
import type { JobRequests } from './job-requests.ts';

export interface JobRoutesDeps extends Pick<Store, 'jobs' | 'queries'> {
  readonly clients: Pick<Clients, 'of'>;
  readonly askedJobs: AskedJobs;
  readonly validityRules: Pick<ValidityRulesLog, 'read'>;
  readonly jobRequests: Pick<JobRequests, 'cancel'>;
  /** Epoch ms. */
  readonly now: () => number;
  readonly rules: () => RangeRules;
}
