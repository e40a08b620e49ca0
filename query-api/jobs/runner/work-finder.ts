/**
 * Finds what is to be done without a request: late minutes and minutes of split ads to restate, hours that have become
 * final to reconcile, and, if `RECONCILE_REPAIR` is set, drift to repair that a reconciliation has found. Everything due is found from the rows
 * of jobs alone, so a process that ends in the middle leaves nothing out. Work that has failed is due again after a
 * pause, which doubles with each attempt. Meanwhile it delays nothing else.
 *
 * The rows are not read again while nothing can have changed. Failed hours and missing repairs change only through jobs
 * that were in the list of open jobs before. Late lines show in the progress of their partition at about the same time
 * as in their own table. Known late lines may become due when a minute becomes final or as time passes. In case any of
 * this is wrong, everything is read once a minute.
 */

import { Corrupt } from '../../../infra/errors.ts';
import type { Logger } from '../../../infra/log.ts';
import type { Attempts } from '../../store/jobs/failed-jobs.ts';
import { type Job, newJob } from '../../store/jobs/job.ts';
import type { JobStore } from '../../store/jobs/job-store.ts';
import type { LateMinute } from '../../store/jobs/late-minute-rows.ts';
import { rawSince } from '../../store/raw-retention.ts';
import { minuteMs } from '../../time/time-range.ts';
import { resultOf } from '../reconcile/reconcile-result.ts';
import type { LateMinutes } from '../restate/late-minutes.ts';
import type { LateQueue } from '../restate/late-queue.ts';
import { createSplitFinder, type SplitFinderDeps } from '../restate/split-finder.ts';
import { isPaused } from '../stated-moments.ts';
import { laneOf } from './job-turns.ts';

export interface WorkFinderDeps extends Pick<SplitFinderDeps, 'splitClicks'> {
  readonly store: Pick<JobStore, 'get' | 'lastHourly' | 'failedHours' | 'failedLateMinutes' | 'unrepaired'> &
    SplitFinderDeps['store'];
  readonly lateMinutes: LateMinutes;
  readonly lateQueue: LateQueue;
  /** Whether drift is repaired. */
  readonly repairs: boolean;
  /** Epoch ms. */
  readonly now: () => number;
  /** Milliseconds of a clock that does not go back. */
  readonly clock?: () => number;
  readonly log: Logger;
  readonly scanMs?: number;
}

export interface Seen {
  /** Epoch ms. */
  readonly finalUntil: number;
  /** The number of quarantined lines in the progress of all partitions. */
  readonly quarantined: number;
}

/** Returns true if it has made a job. `open` contains the jobs that wait or run. */
export type WorkFinder = (seen: Seen, open: readonly Job[]) => Promise<boolean>;

export function createWorkFinder(deps: WorkFinderDeps): WorkFinder {
  const { repairs, now, clock = () => performance.now(), scanMs = 5_000 } = deps;
  let scanAt = 0;
  const late = createLateFinder(deps);
  const split = createSplitFinder(deps);
  let isSplitFirst = false;
  const hours = createHourFinder(deps);
  const drift = createRepairFinder(deps);

  return async (seen, open) => {
    // An open job may end in the very turn of which this is a part. So what is read while it is open is not kept
    // either.
    const isStale = open.some(changesAttempts);
    for (const kept of [hours.kept, drift.kept]) kept.keeps(!isStale);
    // Restatements of late clicks and of split ads count as one kind, so that no minute is recounted for both. When both
    // are due all the time, they take turns.
    const restate = async () => {
      const finders = [
        async () => late.isDue(seen) && (await late.find(seen)),
        async () => isScan && (await split(seen.finalUntil, open)),
      ];
      if (isSplitFirst) finders.reverse();
      isSplitFirst = !isSplitFirst;
      for (const find of finders) if (await find()) return true;
      return false;
    };
    // Each of the three has one job at a time. A job that makes no progress (a minute that cannot be read) delays the
    // next one only this long.
    const isFree = (isOne: (job: Job) => boolean, standsStillMs: number) => {
      const ones = open.filter(isOne);
      return ones.length < mostOpen && !ones.some(({ updatedAt }) => isPaused(standsStillMs, updatedAt, now()));
    };
    const isLateFree = isFree(job => laneOf(job) === 'late', 60_000);
    const isScan = clock() >= scanAt;
    if (!isScan && !(late.isMoreDue() && isLateFree)) return false;
    const finders = [
      { isWanted: isLateFree, find: restate },
      {
        isWanted: isScan && isFree(({ reason }) => reason === 'hourly', 900_000),
        find: () => hours.find(seen.finalUntil),
      },
      { isWanted: isScan && repairs && isFree(isRepair, 900_000), find: drift.find },
    ];
    if (isScan) scanAt = clock() + scanMs;
    const found = await Promise.allSettled(finders.filter(({ isWanted }) => isWanted).map(({ find }) => find()));
    // The failure of one does not hide what another has found.
    for (const one of found) if (one.status === 'rejected') throw one.reason;
    return found.some(one => one.status === 'fulfilled' && one.value);
  };
}

/** Makes the jobs that restate late minutes. */
function createLateFinder({ store, lateMinutes, lateQueue, now, clock, log }: WorkFinderDeps) {
  let moreIsDue = false;
  let isSuspectNext = false;
  const look = createLateLook(clock);

  /**
   * One minute that cannot be recounted fails the job in which it is. Each minute of a failed job gets a job of its own
   * next time, so that the bad minute does not make the others fail again.
   */
  const nextOf = async (due: readonly LateMinute[]): Promise<readonly LateMinute[]> => {
    const suspects = new Set(await store.failedLateMinutes(now() - suspectForMs));
    const [suspect] = due.filter(({ minute }) => suspects.has(minute));
    const others = due.filter(({ minute }) => !suspects.has(minute));
    isSuspectNext = suspect !== undefined && (others.length === 0 || !isSuspectNext);
    return isSuspectNext ? due.filter(({ minute }) => minute === suspect?.minute) : await lateQueue.next(others);
  };

  return {
    isMoreDue: () => moreIsDue,
    isDue: (seen: Seen) => moreIsDue || look.isDue(seen),
    async find(seen: Seen): Promise<boolean> {
      const due = await lateMinutes.due(seen.finalUntil, rawSince(now()));
      look.looked(seen, lateMinutes.areAny);
      moreIsDue = false;
      if (due.length === 0) return false;
      const taken = await nextOf(due);
      moreIsDue = taken.length < due.length;
      const minutes = [...new Set(taken.map(({ minute }) => minute))].sort((a, b) => a - b);
      const [from = 0, to = 0] = [minutes[0], (minutes.at(-1) ?? 0) + minuteMs];
      const job = newJob({ kind: 'restate', reason: 'late', apply: true, from, to, minutes }, now());
      await store.save(job, [lateMinutes.taken(taken, job.id)]);
      const lines = taken.reduce((sum, late) => sum + late.lines, 0);
      log.info({ job: job.id, minutes: minutes.length, lines }, 'late clicks: minutes are to be restated');
      return true;
    },
  };
}

/**
 * Makes the jobs that reconcile hours: the next hour first, so that an hour that always fails does not delay the
 * others.
 */
function createHourFinder({ store, now, clock }: WorkFinderDeps) {
  let nextHour: number | undefined;
  const failedHours = createKept(() => store.failedHours(rawSince(now())), clock);

  const reconcileHour = async (from: number) => {
    const hour = { from, to: from + hourMs };
    await store.save(newJob({ kind: 'reconcile', reason: 'hourly', apply: false, ...hour }, now()));
    return true;
  };

  return {
    kept: failedHours,
    async find(finalUntil: number): Promise<boolean> {
      nextHour ??= (await store.lastHourly())?.to ?? finalUntil - (finalUntil % hourMs);
      // After a long stop, only hours whose raw clicks are still kept can be reconciled.
      nextHour = Math.max(nextHour, Math.ceil(rawSince(now()) / hourMs) * hourMs);
      if (nextHour + hourMs <= finalUntil) {
        await reconcileHour(nextHour);
        nextHour += hourMs;
        return true;
      }
      const failed = (await failedHours.read()).find(hour => hour.from >= rawSince(now()) && isDueAgain(hour, now()));
      return failed !== undefined && (await reconcileHour(failed.from));
    },
  };
}

/** Makes the jobs that repair drift. */
function createRepairFinder({ store, now, clock, log }: WorkFinderDeps) {
  const unrepaired = createKept(() => store.unrepaired(rawSince(now()), unrepairedLookedAt), clock);
  /** What cannot be read can only be looked at by a person. It does not delay other repairs. */
  const driftingMinutes = (job: Job): readonly number[] => {
    try {
      return resultOf(job).minutes;
    } catch (error) {
      if (!(error instanceof Corrupt)) throw error;
      log.error(
        { job: job.id, why: error.message },
        'drift not repaired: the result of its reconciliation is unreadable',
      );
      return [];
    }
  };
  return {
    kept: unrepaired,
    async find(): Promise<boolean> {
      const oldest = rawSince(now());
      const due = (await unrepaired.read()).filter(one => isDueAgain(one, now()));
      for (const { id } of due) {
        const found = await store.get(id, ['reconcile']);
        const minutes = found === undefined ? [] : driftingMinutes(found).filter(minute => minute >= oldest);
        const [from, last] = [minutes[0], minutes.at(-1)];
        if (from === undefined || last === undefined) continue;
        const range = { from, to: last + minuteMs, minutes };
        const result = JSON.stringify({ repairs: id });
        await store.save(newJob({ kind: 'restate', reason: 'reconcile', apply: true, ...range, result }, now()));
        return true;
      }
      return false;
    },
  };
}

function isDueAgain({ attempts, ended_at }: Attempts, at: number): boolean {
  return attempts === 0 || ended_at <= at - Math.min(firstPauseMs * 2 ** (attempts - 1), longestPauseMs);
}

/** Decides whether late lines must be read again. */
function createLateLook(clock = () => performance.now()) {
  let last: Seen | undefined;
  let until = 0;
  let lookedAt = 0;
  return {
    isDue({ finalUntil, quarantined }: Seen): boolean {
      if (quarantined !== last?.quarantined || finalUntil !== last.finalUntil) return true;
      return clock() < until || clock() >= lookedAt + looksAgainMs;
    },
    looked(seen: Seen, areAny: boolean): void {
      lookedAt = clock();
      // Lines may come into their table a little later than they are counted.
      if (areAny || seen.quarantined !== last?.quarantined) until = clock() + looksAgainMs;
      last = seen;
    },
  };
}

/** Keeps rows that were read until something may have changed them. */
function createKept<T>(read: () => Promise<readonly T[]>, clock = () => performance.now()) {
  let known: { readonly rows: readonly T[]; readonly until: number } | undefined;
  let isKept = true;
  return {
    keeps(whetherKept: boolean): void {
      isKept = whetherKept;
      if (!isKept) known = undefined;
    },
    async read(): Promise<readonly T[]> {
      if (known !== undefined && clock() < known.until) return known.rows;
      const rows = await read();
      if (isKept) known = { rows, until: clock() + looksAgainMs };
      return rows;
    },
  };
}

/**
 * Returns true for jobs that change, by their existence or their end, which hours have failed or which drift is
 * unrepaired.
 */
function changesAttempts(job: Job): boolean {
  return job.kind === 'reconcile' || isRepair(job);
}

function isRepair({ kind, reason }: Job): boolean {
  return kind === 'restate' && reason === 'reconcile';
}

const hourMs = 60 * minuteMs;
/** In case something has changed that was not noticed. */
const looksAgainMs = 60_000;
/** The most open jobs of each of the three kinds. */
const mostOpen = 8;
/** Late clicks come in for this long. */
const suspectForMs = 8 * 24 * hourMs;
const firstPauseMs = 600_000;
const longestPauseMs = 6 * hourMs;
/**
 * When all minutes of a reconciliation have become too old, it stays unrepaired. So several are read, or these would
 * hide the others for long.
 */
const unrepairedLookedAt = 100;
