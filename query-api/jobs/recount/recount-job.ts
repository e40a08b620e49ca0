/** Runs a replay or a restatement from where it stands to its end, or until it has to make way. */

import { randomInt } from 'node:crypto';
import type { CellChange, RestatementReason } from '../../../aggregator/restatement.ts';
import type { PartitionRule } from '../../../ingest/hot-ads/partition-rule.ts';
import type { JobEntry } from '../../log/job-log.ts';
import type { Job } from '../../store/jobs/job.ts';
import type { JobStore } from '../../store/jobs/job-store.ts';
import type { RecountQueries } from '../../store/jobs/recount-rows.ts';
import { minuteMs, type TimeRange } from '../../time/time-range.ts';
import type { JobWriter } from '../writing/job-writer.ts';
import { recountedClicks, restatedCells } from '../writing/metrics.ts';
import { createRestater, diffOf } from './apply-changes.ts';
import { recountSteps } from './recount-steps.ts';

export interface RecountJobDeps {
  readonly store: Pick<JobStore, 'diffTotals'> & JobWriter;
  readonly queries: RecountQueries;
  readonly now: () => number;
  /** Over how many partitions the clicks of which minute are spread. @throws Retryable */
  readonly partitionRules: () => Promise<readonly PartitionRule[]>;
  /** From which minute on ids are per ad, by partition (id-rule.ts). */
  readonly idsPerAdFrom: () => Promise<readonly number[]>;
  /** By partition of topic `clicks`: all before is in raw. @throws Retryable */
  readonly rawPositions: () => Promise<ReadonlyMap<number, number>>;
  /** Asked now and then: 'go on', or end the run with the job as it stands. */
  readonly mayGoOn: (job: Job) => Promise<boolean>;
  readonly pageRows?: number;
}

/**
 * The job as it stands after the run, saved; it is done if its position is its end. What it has found and where it stands are
 * one transaction, so a job that is interrupted goes on right behind what it has changed, and has said that it is done only
 * with all it has done.
 */
export async function runRecount(asked: Job, partitions: number, deps: RecountJobDeps): Promise<Job> {
  const { store, queries, now, mayGoOn, pageRows } = deps;
  const hashSeed = randomInt(2 ** 32);
  const partitionRules = await deps.partitionRules();
  const idsPerAdFrom = await deps.idsPerAdFrom();
  // Before any click is read: what is said of them holds for all that raw had by then.
  const readUntil = asked.apply ? await deps.rawPositions() : new Map<number, number>();
  const restater = createRestater({ job: asked.id, reason: reasonOf(asked), readUntil, now });
  const rules = { partitionRules, idsPerAdFrom };
  const options = { queries, partitions, ...rules, hashSeed, ...(pageRows === undefined ? {} : { pageRows }) };
  let job = asked;
  let found: CellChange[] = [];
  let savedAt = now();
  const save = async (as: Partial<Job> = {}) => {
    const said: JobEntry[] = [diffOf(found, { job: job.id, at: now() }), ...restater.take()];
    const next = { ...job, ...as, updatedAt: now(), seq: job.seq + 1 };
    // No faster than a sink brings it, and readers can follow: at most one transaction is on its way.
    await store.caughtUp();
    await store.save(next, said);
    if (job.apply) restatedCells.inc({ reason: reasonOf(job) }, found.length);
    job = next;
    found = [];
    savedAt = now();
  };
  for await (const { until, lines, changes } of recountSteps(rangesOf(job), options)) {
    for (const change of changes) found.push(change);
    if (job.apply) restater.stage(changes, listedIn(job, until));
    recountedClicks.inc(lines);
    job = { ...job, position: until, minutesDone: doneAt(job, until), clicksRead: job.clicksRead + lines };
    if (now() - savedAt < saveIntervalMs && found.length < mostChanges) continue;
    await save();
    if (!(await mayGoOn(job))) return job;
  }
  await save({ position: job.to, minutesDone: job.minutesTotal });
  await store.caughtUp();
  const { cells } = await store.diffTotals(job.id);
  return { ...job, cellsChanged: cells };
}

/** How often changes become visible. A job that is interrupted repeats at most this much. */
const saveIntervalMs = 500;
/** In memory, and in one transaction, unless a step has more. */
const mostChanges = 100_000;

function reasonOf({ reason }: Job): RestatementReason {
  return reason === 'late' || reason === 'reconcile' ? reason : 'replay';
}

/** What is left of the job, neighbouring minutes together. */
export function rangesOf({
  minutes,
  from,
  to,
  position,
}: Pick<Job, 'minutes' | 'from' | 'to' | 'position'>): TimeRange[] {
  if (minutes.length === 0) return position < to ? [{ from: Math.max(from, position), to }] : [];
  const ranges: TimeRange[] = [];
  for (const minute of minutes) {
    if (minute < position) continue;
    const last = ranges.at(-1);
    if (last?.to === minute) ranges[ranges.length - 1] = { from: last.from, to: minute + minuteMs };
    else ranges.push({ from: minute, to: minute + minuteMs });
  }
  return ranges;
}

/** Minutes that the job names, of those that it has recounted up to `until` since it last stood still. */
function listedIn({ minutes, position }: Job, until: number): number[] {
  return minutes.filter(minute => minute >= position && minute < until);
}

function doneAt({ minutes, from }: Job, until: number): number {
  return minutes.length === 0 ? (until - from) / minuteMs : minutes.filter(minute => minute < until).length;
}
