/** Runs a replay or a restatement from its position to its end, or until its turn is over. */

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
import type { LookAtErasures } from './erased-meanwhile.ts';
import { noneAnnounced, type RecountRules } from './recount-rules.ts';
import { recountSteps } from './recount-steps.ts';
import { changesNumbers, mostListedCells, rulesReplayOf, withEffect } from './rules-replay.ts';

export interface RecountJobDeps {
  readonly store: Pick<JobStore, 'diffTotals'> & JobWriter;
  readonly queries: RecountQueries;
  readonly now: () => number;
  /** Returns the rules that say over how many partitions the clicks of a minute are spread. @throws Retryable */
  readonly partitionRules: () => Promise<readonly PartitionRule[]>;
  /** Returns, by partition, the first minute in which ids are per ad (id-rule.ts). */
  readonly idsPerAdFrom: () => Promise<readonly number[]>;
  /** Returns by which rules the clicks of the job's minutes are judged. Left out: nobody has announced any. @throws Retryable */
  readonly rules?: (job: Job) => Promise<RecountRules>;
  /** Returns, by partition of topic `clicks`, the offset before which all clicks are in raw. @throws Retryable */
  readonly rawPositions: () => Promise<ReadonlyMap<number, number>>;
  /** Left out: no person is erased. */
  readonly erasures?: LookAtErasures;
  /** Is asked after each transaction. When it returns false, the run ends with the job as it is. */
  readonly mayGoOn: (job: Job) => Promise<boolean>;
  readonly pageRows?: number;
}

/**
 * Returns the job after the run, saved. It is done if its position is its end. Its position is in the same transaction
 * as its changes. So a job that was interrupted continues right after its last change, and a job that is done has made
 * all its changes.
 */
export async function runRecount(asked: Job, partitions: number, deps: RecountJobDeps): Promise<Job> {
  const { store, queries, now, mayGoOn, pageRows } = deps;
  const hashSeed = randomInt(2 ** 32);
  const partitionRules = await deps.partitionRules();
  const idsPerAdFrom = await deps.idsPerAdFrom();
  // This is read before any click, because it states which clicks the recount has seen at least.
  const readUntil = asked.apply ? await deps.rawPositions() : new Map<number, number>();
  const restater = createRestater({ job: asked.id, reason: reasonOf(asked), readUntil, now });
  const rules = { partitionRules, idsPerAdFrom, rules: (await deps.rules?.(asked)) ?? noneAnnounced };
  const { erasures } = deps;
  const options = {
    ...{ queries, partitions, ...rules, hashSeed },
    ...(pageRows === undefined ? {} : { pageRows }),
    ...(erasures === undefined ? {} : { erasures }),
  };
  let job = asked;
  let found: CellChange[] = [];
  let savedAt = performance.now();
  const save = async (as: Partial<Job> = {}) => {
    const said: JobEntry[] = [diffOf(listed(found, job), { job: job.id, at: now() }), ...restater.take()];
    const next = { ...withEffect(job, found), ...as, updatedAt: now(), seq: job.seq + 1 };
    // At most one transaction is on its way to ClickHouse, so that sinks and readers can follow.
    await store.caughtUp();
    await store.save(next, said);
    if (job.apply) restatedCells.inc({ reason: reasonOf(job) }, found.length);
    job = next;
    found = [];
    savedAt = performance.now();
  };
  for await (const { until, lines, changes } of recountSteps(rangesOf(job), options)) {
    // A replay that only shows what other rules would change has nothing to say of cells that they leave as they are.
    for (const change of changes) if (job.apply || changesNumbers(change)) found.push(change);
    if (job.apply) restater.stage(changes, listedIn(job, until));
    recountedClicks.inc(lines);
    job = { ...job, position: until, minutesDone: doneAt(job, until), clicksRead: job.clicksRead + lines };
    if (performance.now() - savedAt < saveIntervalMs && found.length < mostChanges) continue;
    await save();
    // At its end nothing is left for another turn but to say what was found.
    if (job.position < job.to && !(await mayGoOn(job))) return job;
  }
  await save({ position: job.to, minutesDone: job.minutesTotal });
  await store.caughtUp();
  const cells = rulesReplayOf(job)?.found.cells ?? (await store.diffTotals(job.id)).cells;
  return { ...job, cellsChanged: cells };
}

/** The time between two saves. A job that was interrupted repeats at most this much work. */
const saveIntervalMs = 500;
/** The most changes in memory and in one transaction, unless a single step has more. */
const mostChanges = 100_000;

function reasonOf({ reason }: Job): RestatementReason {
  return reason === 'hourly' || reason === 'asked' ? 'replay' : reason;
}

/** Returns the changes that people see when they ask about the job. */
function listed(changes: readonly CellChange[], job: Job): CellChange[] {
  const listedBefore = rulesReplayOf(job)?.found.cells;
  const found = changes.filter(changesNumbers);
  return listedBefore === undefined ? found : found.slice(0, Math.max(0, mostListedCells - listedBefore));
}

/** Returns what is left of the job. Neighbouring minutes form one range. */
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

/** Returns the minutes listed in the job that were recounted from its position up to `until`. */
function listedIn({ minutes, position }: Job, until: number): number[] {
  return minutes.filter(minute => minute >= position && minute < until);
}

function doneAt({ minutes, from }: Job, until: number): number {
  return minutes.length === 0 ? (until - from) / minuteMs : minutes.filter(minute => minute < until).length;
}
