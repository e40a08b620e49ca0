/**
 * Defines the metrics of jobs. Counters of rare events begin at 0, because a series that begins at 1 shows no increase.
 */
import { counter, gauge } from '../../../infra/metrics.ts';
import { invalidReasons } from '../../../ingest/validity/rules.ts';

const active = gauge(
  'job_runner_active',
  '1 while this process is the active job runner, as far as it knows; otherwise 0',
);
const inOffice = gauge(
  'job_runner_in_office',
  'Deprecated, and gone after 0.3: the same as adclicks_job_runner_active',
);
export const activeSince = gauge(
  'job_runner_since_timestamp_seconds',
  'When this process became the active job runner; 0 if it is not',
);
export const termsBegun = counter(
  'job_runner_terms_begun_total',
  'Terms that have begun in this process: times for which it was the active job runner',
);
export const termsFenced = counter(
  'job_runner_terms_fenced_total',
  'Terms that ended or could not begin because another job runner had fenced this one or a commit had no answer',
);

export const jobsEnded = counter('jobs_ended_total', 'Jobs that have ended, by kind and final state', [
  'kind',
  'state',
]);
export const recountedClicks = counter('recounted_clicks_total', 'Raw clicks that were counted again');
export const restatedCells = counter('restated_cells_total', 'Final counts that were changed, by reason', ['reason']);
export const uncountedClicks = gauge(
  'uncounted_clicks',
  'Accepted clicks that came too late, are in raw, and are still in no count long afterwards',
);

export const reconciledCells = counter('reconciliation_cells_total', 'Counts that were compared with raw clicks');
export const driftingCells = counter('reconciliation_drift_cells_total', 'Counts that differed from raw clicks');
export const conflicts = counter('reconciliation_conflicts_total', 'Clicks whose copies name several countries');
export const drift = gauge(
  'reconciliation_drift_clicks',
  'Sum of the differences between counted and raw clicks, each without its sign, in the last reconciliation',
);
export const judgedCells = counter(
  'reconciliation_invalid_cells_total',
  'Counts whose invalid clicks were compared with what the rules say of raw clicks',
);
export const invalidDriftCells = counter(
  'reconciliation_invalid_drift_cells_total',
  'Counts whose invalid clicks differed from what the rules say of raw clicks',
);
export const splitCells = counter(
  'reconciliation_split_cells_total',
  'Those of split ads, of which not all can be compared',
);
export const invalidDrift = gauge(
  'reconciliation_invalid_drift_clicks',
  'Sum of the differences between counted invalid clicks and those by the rules, in the last reconciliation, by reason',
  ['reason'],
);
export const reconciledUntil = gauge(
  'reconciliation_until_timestamp_seconds',
  'End of the latest hour whose hourly reconciliation has ended',
);

export const conservationDifference = gauge(
  'conservation_difference',
  'Lines found as rows minus lines counted, by partition and outcome; 0 if they agree',
  ['partition', 'outcome'],
);
export const conservationCheckedAt = gauge(
  'conservation_checked_timestamp_seconds',
  'When the rows of all partitions were last compared with the counters',
);

export function showActive(isActive: boolean): void {
  for (const metric of [active, inOffice]) metric.set(isActive ? 1 : 0);
}

/** Resets what only the active job runner can know. Once this process is not active, its successor reports these. */
export function resetRunnerMetrics(): void {
  showActive(false);
  activeSince.set(0);
  for (const known of [uncountedClicks, drift, reconciledUntil, conservationCheckedAt]) known.set(0);
  conservationDifference.reset();
  showNoInvalidDrift();
}

for (const reason of ['late', 'split', 'replay', 'reconcile', 'rules'] as const) restatedCells.inc({ reason }, 0);
for (const kind of ['replay', 'restate', 'reconcile'] as const) {
  for (const state of ['done', 'failed', 'cancelled'] as const) jobsEnded.inc({ kind, state }, 0);
}

function showNoInvalidDrift(): void {
  invalidDrift.reset();
  for (const reason of [...invalidReasons, 'all']) invalidDrift.set({ reason }, 0);
}
showNoInvalidDrift();
