/** The metrics of jobs. A count of what seldom happens begins at 0: a series that begins at 1 shows no increase. */
import { counter, gauge } from '../../../infra/metrics.ts';

export const inOffice = gauge('job_runner_in_office', '1 where this process runs the jobs, as far as it knows');
export const inOfficeSince = gauge(
  'job_runner_since_timestamp_seconds',
  'Since when this process runs the jobs; 0: it does not',
);
export const termsBegun = counter('job_runner_terms_begun_total', 'Terms of office that have begun here');
export const termsFenced = counter(
  'job_runner_terms_fenced_total',
  'Terms of office that ended, or did not begin, because another runner had the office or a commit had no answer',
);

export const jobsEnded = counter('jobs_ended_total', 'Jobs ended, by kind and state', ['kind', 'state']);
export const recountedClicks = counter('recounted_clicks_total', 'Raw clicks recounted');
export const restatedCells = counter('restated_cells_total', 'Final counts changed, by reason', ['reason']);
export const uncountedClicks = gauge(
  'uncounted_clicks',
  'Accepted clicks in raw that are in no count, long after they came too late',
);

export const reconciledCells = counter('reconciliation_cells_total', 'Counts compared with raw clicks');
export const driftingCells = counter('reconciliation_drift_cells_total', 'Counts that differed from raw clicks');
export const conflicts = counter('reconciliation_conflicts_total', 'Clicks whose copies name several countries');
export const drift = gauge('reconciliation_drift_clicks', 'Raw clicks less counted ones, of the last reconciliation');
export const reconciledUntil = gauge('reconciliation_until_timestamp_seconds', 'End of the last hour reconciled');

export const conservationDifference = gauge(
  'conservation_difference',
  'Lines found as rows less those counted, by partition and outcome; 0 where they agree',
  ['partition', 'outcome'],
);
export const conservationCheckedAt = gauge(
  'conservation_checked_timestamp_seconds',
  'When rows were last compared with counters in all partitions',
);

/** What only the runner in office can know is nobody's word once it is not: a successor tells. */
export function forgetOffice(): void {
  inOffice.set(0);
  inOfficeSince.set(0);
  for (const known of [uncountedClicks, drift, reconciledUntil, conservationCheckedAt]) known.set(0);
  conservationDifference.reset();
}

for (const reason of ['late', 'replay', 'reconcile'] as const) restatedCells.inc({ reason }, 0);
for (const kind of ['replay', 'restate', 'reconcile'] as const) {
  for (const state of ['done', 'failed', 'cancelled'] as const) jobsEnded.inc({ kind, state }, 0);
}
