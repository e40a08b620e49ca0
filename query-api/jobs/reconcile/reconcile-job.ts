/**
 * Runs a reconciliation: it compares final counts, and which of them are invalid, with raw clicks in SQL, step by step,
 * until its end or until its turn is over. It changes nothing.
 */
import type { Logger } from '../../../infra/log.ts';
import { invalidReasons } from '../../../ingest/validity/rules.ts';
import type { Job } from '../../store/jobs/job.ts';
import type { HourComparison } from '../../store/jobs/sql-hours.ts';
import type { InvalidComparison } from '../../store/jobs/sql-invalid.ts';
import type { Reconciliation } from '../../store/jobs/sql-recount.ts';
import { minuteMs, stepsMs, type TimeRange } from '../../time/time-range.ts';
import type { PendingMinutes } from '../restate/pending-minutes.ts';
import { isPaused } from '../stated-moments.ts';
import type { JobWriter } from '../writing/job-writer.ts';
import {
  conflicts,
  drift,
  driftingCells,
  invalidDrift,
  invalidDriftCells,
  judgedCells,
  reconciledCells,
  reconciledUntil,
  splitCells,
} from '../writing/metrics.ts';
import { nothingCompared, type ReconcileResult, resultOf, withCounts, withInvalid } from './reconcile-result.ts';
import type { FirstSeen } from './suspicions.ts';

export interface ReconcileJobDeps {
  readonly store: Pick<JobWriter, 'save'>;
  readonly reconciliation: Reconciliation;
  readonly hours: HourComparison;
  readonly invalid: InvalidComparison;
  readonly pending: PendingMinutes;
  readonly now: () => number;
  readonly log: Logger;
  readonly mayGoOn: (job: Job) => Promise<boolean>;
  /**
   * A difference is drift only when it lasts this long, because a click that came too late is in raw shortly before it
   * is in quarantine.
   */
  readonly settleMs?: number | undefined;
  readonly firstSeen: FirstSeen;
}

/**
 * Returns the job after its run. It is done if its position is its end. @throws Corrupt when its result is unreadable
 */
export async function runReconcile(asked: Job, deps: ReconcileJobDeps): Promise<Job> {
  const { store, now, mayGoOn, firstSeen, settleMs = 10_000 } = deps;
  let job = asked;
  while (job.position < job.to) {
    const from = job.position;
    const to = await deps.reconciliation.stepEnd({ from, to: job.to });
    // Minutes that are about to be restated are compared after that. But a client that keeps sending late clicks must not
    // delay the reconciliation forever.
    const pending = new Set(await deps.pending(from, to));
    if (pending.size > 0 && isPaused(longestWaitMs, job.updatedAt, now())) return job;
    const before = resultOf(job);
    const minutes = await comparedWithout(pending, { from, to }, before, deps);
    const found = await withHours(minutes, { from, to }, job, deps);
    if (differing(found) > differing(before) && isPaused(settleMs, firstSeen(job, now()), now())) return job;
    const result = { ...found, leftOut: (before.leftOut ?? 0) + pending.size };
    job = {
      ...job,
      position: to,
      minutesDone: (to - job.from) / 60_000,
      cellsChanged: differing(result),
      result: JSON.stringify(result),
      updatedAt: now(),
      seq: job.seq + 1,
    };
    await store.save(job);
    if (job.position < job.to && !(await mayGoOn(job))) return job;
  }
  report(job, deps.log);
  return job;
}

/** The wait for late clicks of the next minutes. After it, minutes that still have some are left out. */
const longestWaitMs = 600_000;

/** Adds to `before` what is found in the range without these minutes. */
async function comparedWithout(
  minutes: ReadonlySet<number>,
  { from, to }: TimeRange,
  before: ReconcileResult,
  { reconciliation, invalid }: Pick<ReconcileJobDeps, 'reconciliation' | 'invalid'>,
): Promise<ReconcileResult> {
  let found = before;
  let start = from;
  for (const minute of [...[...minutes].sort((a, b) => a - b), to]) {
    const range = { from: start, to: minute };
    start = minute + minuteMs;
    if (range.from >= range.to) continue;
    found = withCounts(found, await reconciliation.compare(range));
    for (const byRules of await invalid.compare(range)) found = withInvalid(found, byRules);
  }
  return found;
}

/**
 * Adds what is found about the hours of the roll-up that end in the step and began in the range of the job. Where minutes
 * of an hour differ, its sums say nothing: it is worked out again when they are restated.
 */
async function withHours(
  before: ReconcileResult,
  { from, to }: TimeRange,
  job: Job,
  { hours }: Pick<ReconcileJobDeps, 'hours'>,
): Promise<ReconcileResult> {
  let found = before;
  for (let end = from - (from % hourMs) + hourMs; end <= to; end += hourMs)
    if (end - hourMs >= job.from && !found.minutes.some(minute => minute >= end - hourMs && minute < end))
      found = withCounts(found, await hours.compare(end - hourMs));
  return found;
}

function differing(result: ReconcileResult): number {
  return result.differing + (result.invalid?.differing ?? 0);
}

const hourMs = stepsMs.hour;

let latestHourUntil = 0;

function report(job: Job, log: Logger): void {
  const result = resultOf(job);
  const clicks = result.off ?? 0;
  reconciledCells.inc(result.cells);
  driftingCells.inc(result.differing);
  conflicts.inc(result.conflicts);
  drift.set(clicks);
  const { invalid = nothingCompared.invalid } = result;
  judgedCells.inc(invalid.cells);
  invalidDriftCells.inc(invalid.differing);
  splitCells.inc(invalid.split);
  const off = new Map(invalid.reasons.map(found => [found.reason, found.off]));
  invalidDrift.reset();
  for (const reason of [...invalidReasons, 'all', ...off.keys()]) invalidDrift.set({ reason }, off.get(reason) ?? 0);
  if (job.reason === 'hourly') {
    // An hour that failed is reconciled again after later hours. The metric does not go back.
    latestHourUntil = Math.max(latestHourUntil, job.to);
    reconciledUntil.set(latestHourUntil / 1_000);
  }
  const fields = {
    job: job.id,
    from: new Date(job.from).toISOString(),
    to: new Date(job.to).toISOString(),
    cells: result.cells,
    differing: result.differing,
    drift: clicks,
    conflicts: result.conflicts,
    leftOut: result.leftOut ?? 0,
    invalid: { cells: invalid.cells, differing: invalid.differing, split: invalid.split, reasons: invalid.reasons },
  };
  if (result.differing > 0)
    log.error({ ...fields, ads: result.ads.slice(0, 10) }, 'reconciled: counts DIFFER from raw clicks');
  if (invalid.differing > 0)
    log.error(
      { ...fields, ads: invalid.ads.slice(0, 10) },
      'reconciled: invalid clicks DIFFER from those by the rules',
    );
  if (differing(result) === 0) log.info(fields, 'reconciled: counts equal raw clicks');
}
