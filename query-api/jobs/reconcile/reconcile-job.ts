/** Runs a reconciliation to its end. */

import type { Logger } from '../../../infra/log.ts';
import type { Job } from '../../store/jobs/job.ts';
import { type AdDrift, adsReported, type Reconciled, type Reconciliation } from '../../store/jobs/sql-recount.ts';
import { minuteMs, type TimeRange } from '../../time/time-range.ts';
import type { LateMinutes } from '../restate/late-minutes.ts';
import type { JobWriter } from '../writing/job-writer.ts';
import { conflicts, drift, driftingCells, reconciledCells, reconciledUntil } from '../writing/metrics.ts';

export interface ReconcileJobDeps {
  readonly store: Pick<JobWriter, 'save'>;
  readonly reconciliation: Reconciliation;
  readonly lateMinutes: Pick<LateMinutes, 'pending'>;
  readonly now: () => number;
  readonly log: Logger;
  readonly mayGoOn: (job: Job) => Promise<boolean>;
  /**
   * A click that came too late stands in raw a moment before the stream has marked its minute. So a difference is taken
   * for drift only if it lasts.
   */
  readonly settleMs?: number | undefined;
}

/** What a reconciliation has found so far: `Job.result`. */
export interface ReconcileResult {
  readonly cells: number;
  readonly differing: number;
  readonly conflicts: number;
  readonly ads: readonly AdDrift[];
  readonly minutes: readonly number[];
  /** Minutes that were not compared, as clicks kept coming late to them. */
  readonly leftOut?: number;
}

/** The job as it stands after the run; it is done if its position is its end. */
export async function runReconcile(asked: Job, deps: ReconcileJobDeps): Promise<Job> {
  const { store, reconciliation, lateMinutes, now, mayGoOn, settleMs = 10_000 } = deps;
  let job = asked;
  while (job.position < job.to) {
    const from = job.position;
    const to = await reconciliation.stepEnd({ from, to: job.to });
    // What late clicks are about to change is compared when they have, but whoever sends one now and then holds up nothing.
    const pending = new Set((await lateMinutes.pending(from, to)).map(({ minute }) => minute));
    if (pending.size > 0 && now() - job.updatedAt < longestWaitMs) return job;
    const found = await comparedWithout(pending, { from, to }, reconciliation);
    if (found.differing > 0 && now() - job.updatedAt < settleMs) return job;
    const result = { ...merged(resultOf(job), found), leftOut: (resultOf(job).leftOut ?? 0) + pending.size };
    job = {
      ...job,
      position: to,
      minutesDone: (to - job.from) / 60_000,
      cellsChanged: result.differing,
      result: JSON.stringify(result),
      updatedAt: now(),
      seq: job.seq + 1,
    };
    await store.save(job);
    if (job.position < job.to && !(await mayGoOn(job))) return job;
  }
  tell(job, deps.log);
  return job;
}

/** For late clicks of the minutes that are next; then those that still have some are left out. */
const longestWaitMs = 600_000;

async function comparedWithout(
  minutes: ReadonlySet<number>,
  { from, to }: TimeRange,
  reconciliation: Reconciliation,
): Promise<ReconcileResult> {
  let found = nothingCompared;
  let start = from;
  for (const minute of [...[...minutes].sort((a, b) => a - b), to]) {
    if (minute > start) found = merged(found, await reconciliation.compare({ from: start, to: minute }));
    start = minute + minuteMs;
  }
  return found;
}

const nothingCompared: ReconcileResult = { cells: 0, differing: 0, conflicts: 0, ads: [], minutes: [] };

export function resultOf({ result }: Job): ReconcileResult {
  return result === '' ? nothingCompared : JSON.parse(result);
}

function merged(before: ReconcileResult, found: Reconciled | ReconcileResult): ReconcileResult {
  const ads = new Map(before.ads.map(ad => [ad.ad_id, ad]));
  for (const ad of found.ads) {
    const known = ads.get(ad.ad_id) ?? { ad_id: ad.ad_id, cells: 0, counted: 0, raw: 0 };
    ads.set(ad.ad_id, {
      ad_id: ad.ad_id,
      cells: known.cells + ad.cells,
      counted: known.counted + ad.counted,
      raw: known.raw + ad.raw,
    });
  }
  const size = ({ raw, counted }: AdDrift) => Math.abs(raw - counted);
  return {
    cells: before.cells + found.cells,
    differing: before.differing + found.differing,
    conflicts: before.conflicts + found.conflicts,
    ads: [...ads.values()].sort((a, b) => size(b) - size(a)).slice(0, adsReported),
    minutes: [...before.minutes, ...found.minutes],
  };
}

let lastHourTold = 0;

function tell(job: Job, log: Logger): void {
  const result = resultOf(job);
  const clicks = result.ads.reduce((sum, ad) => sum + ad.raw - ad.counted, 0);
  reconciledCells.inc(result.cells);
  driftingCells.inc(result.differing);
  conflicts.inc(result.conflicts);
  drift.set(clicks);
  if (job.reason === 'hourly') {
    // An hour that failed is made again later: that takes back nothing.
    lastHourTold = Math.max(lastHourTold, job.to);
    reconciledUntil.set(lastHourTold / 1_000);
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
  };
  if (result.differing === 0) log.info(fields, 'reconciled: counts equal raw clicks');
  else log.error({ ...fields, ads: result.ads.slice(0, 10) }, 'reconciled: counts DIFFER from raw clicks');
}
