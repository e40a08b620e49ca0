/**
 * Runs a reconciliation: it compares final counts with raw clicks in SQL, step by step, until its end or until its turn
 * is over. It changes nothing.
 */
import { type Static, Type } from 'typebox';
import { shown } from '../../../infra/broken-rule.ts';
import { checkedRows } from '../../../infra/clickhouse/checked-rows.ts';
import { Corrupt } from '../../../infra/errors.ts';
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
   * A difference is drift only when it lasts this long, because a click that came too late is in raw shortly before it
   * is in quarantine.
   */
  readonly settleMs?: number | undefined;
}

/** What a reconciliation has found so far. It is stored as JSON in `Job.result`. */
const ReconcileResult = Type.Object({
  cells: Type.Integer(),
  differing: Type.Integer(),
  conflicts: Type.Integer(),
  ads: Type.Array(
    Type.Object({ ad_id: Type.String(), cells: Type.Integer(), counted: Type.Integer(), raw: Type.Integer() }),
  ),
  /** Epoch ms. */
  minutes: Type.Array(Type.Integer()),
  /** The number of minutes that were not compared because late clicks kept coming to them. */
  leftOut: Type.Optional(Type.Integer()),
});
type ReconcileResult = Static<typeof ReconcileResult>;

/**
 * Returns the job after its run. It is done if its position is its end. @throws Corrupt when its result is unreadable
 */
export async function runReconcile(asked: Job, deps: ReconcileJobDeps): Promise<Job> {
  const { store, reconciliation, lateMinutes, now, mayGoOn, settleMs = 10_000 } = deps;
  let job = asked;
  while (job.position < job.to) {
    const from = job.position;
    const to = await reconciliation.stepEnd({ from, to: job.to });
    // Minutes that late clicks are about to change are compared after that change. But a client that keeps sending late
    // clicks must not delay the reconciliation forever.
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
  report(job, deps.log);
  return job;
}

/** The wait for late clicks of the next minutes. After it, minutes that still have some are left out. */
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

/** @throws Corrupt when the stored result is not what a reconciliation writes */
export function resultOf({ id, result }: Pick<Job, 'id' | 'result'>): ReconcileResult {
  if (result === '') return nothingCompared;
  const [checked = nothingCompared] = checkedRows(ReconcileResult, [parsed(id, result)], `result of job ${id}`);
  return checked;
}

function parsed(id: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Corrupt(`result of job ${id} is ${shown(text)}, but must be JSON`, { cause });
  }
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

let latestHourUntil = 0;

function report(job: Job, log: Logger): void {
  const result = resultOf(job);
  const clicks = result.ads.reduce((sum, ad) => sum + ad.raw - ad.counted, 0);
  reconciledCells.inc(result.cells);
  driftingCells.inc(result.differing);
  conflicts.inc(result.conflicts);
  drift.set(clicks);
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
  };
  if (result.differing === 0) log.info(fields, 'reconciled: counts equal raw clicks');
  else log.error({ ...fields, ads: result.ads.slice(0, 10) }, 'reconciled: counts DIFFER from raw clicks');
}
