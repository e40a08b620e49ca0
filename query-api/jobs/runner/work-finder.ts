/**
 * What is to be done without anybody asking: late minutes are restated, hours that have become final reconciled, and, where
 * that is wanted, drift that a reconciliation has found is repaired. What is due is found from the rows of jobs alone, so a
 * process that ends in the middle leaves nothing out. What has failed is due again after a pause, which doubles from
 * attempt to attempt, and holds up nothing else meanwhile.
 *
 * Where nothing can have changed the rows are not asked again. What has failed, and what is to be repaired, changes only by
 * jobs that who runs them has in his list of open ones before. Late lines show in the progress of their partition,
 * at about the same time as in their own table; and those that are there may become due when a minute becomes final or
 * as time passes. In case any of this is wrong, everything is asked once a minute.
 */

import type { Logger } from '../../../infra/log.ts';
import type { Attempts } from '../../store/jobs/failed-jobs.ts';
import { type Job, newJob } from '../../store/jobs/job.ts';
import type { JobStore } from '../../store/jobs/job-store.ts';
import type { LateMinute } from '../../store/jobs/late-minute-rows.ts';
import { rawSince } from '../../store/raw-retention.ts';
import { minuteMs } from '../../time/time-range.ts';
import { resultOf } from '../reconcile/reconcile-job.ts';
import type { LateMinutes } from '../restate/late-minutes.ts';
import type { LateQueue } from '../restate/late-queue.ts';
import type { JobWriter } from '../writing/job-writer.ts';
import { laneOf } from './job-turns.ts';

export interface WorkFinderDeps {
  readonly store: Pick<JobStore, 'get' | 'lastHourly' | 'failedHours' | 'failedLateMinutes' | 'unrepaired'> &
    Pick<JobWriter, 'save'>;
  readonly lateMinutes: LateMinutes;
  readonly lateQueue: LateQueue;
  /** Whether drift that is found is to be restated. */
  readonly repairs: boolean;
  readonly now: () => number;
  readonly log: Logger;
  readonly scanMs?: number;
}

export interface Seen {
  /** Epoch ms. */
  readonly finalUntil: number;
  /** Lines, as progress has counted them. */
  readonly quarantined: number;
}

/** True where a job was made. `open`: those that wait or run. */
export type WorkFinder = (seen: Seen, open: readonly Job[]) => Promise<boolean>;

export function createWorkFinder(deps: WorkFinderDeps): WorkFinder {
  const { store, lateMinutes, lateQueue, repairs, now, log, scanMs = 5_000 } = deps;
  let scanAt = 0;
  let moreIsDue = false;
  let isSuspectNext = false;
  let nextHour: number | undefined;
  const lateLook = createLateLook(now);
  const failedHours = createKept(() => store.failedHours(rawSince(now())), now);
  const unrepaired = createKept(() => store.unrepaired(rawSince(now()), unrepairedLookedAt), now);

  const restate = async (seen: Seen) => {
    const { finalUntil } = seen;
    const due = await lateMinutes.due(finalUntil, rawSince(now()));
    lateLook.looked(seen, lateMinutes.areAny);
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
  };

  /** One minute that cannot be recounted fails its job; that it fails no other minute's again, those it has failed come one by one. */
  const nextOf = async (due: readonly LateMinute[]): Promise<readonly LateMinute[]> => {
    const suspects = new Set(await store.failedLateMinutes(now() - suspectForMs));
    const [suspect] = due.filter(({ minute }) => suspects.has(minute));
    const others = due.filter(({ minute }) => !suspects.has(minute));
    isSuspectNext = suspect !== undefined && (others.length === 0 || !isSuspectNext);
    return isSuspectNext ? due.filter(({ minute }) => minute === suspect?.minute) : await lateQueue.next(others);
  };

  const reconcileHour = async (from: number) => {
    const hour = { from, to: from + hourMs };
    await store.save(newJob({ kind: 'reconcile', reason: 'hourly', apply: false, ...hour }, now()));
    return true;
  };

  /** The next hour first: one that fails again and again does not hold up the others. */
  const reconcile = async (finalUntil: number) => {
    nextHour ??= (await store.lastHourly())?.to ?? finalUntil - (finalUntil % hourMs);
    // After a long stop, what is left of raw is what can be reconciled.
    nextHour = Math.max(nextHour, Math.ceil(rawSince(now()) / hourMs) * hourMs);
    if (nextHour + hourMs <= finalUntil) {
      await reconcileHour(nextHour);
      nextHour += hourMs;
      return true;
    }
    const failed = (await failedHours.read()).find(hour => hour.from >= rawSince(now()) && isDueAgain(hour));
    return failed !== undefined && (await reconcileHour(failed.from));
  };

  const repair = async () => {
    const oldest = rawSince(now());
    const due = (await unrepaired.read()).filter(isDueAgain);
    for (const { id } of due) {
      const found = await store.get(id, ['reconcile']);
      const minutes = found === undefined ? [] : resultOf(found).minutes.filter(minute => minute >= oldest);
      const [from, last] = [minutes[0], minutes.at(-1)];
      if (from === undefined || last === undefined) continue;
      const range = { from, to: last + minuteMs, minutes };
      const result = JSON.stringify({ repairs: id });
      await store.save(newJob({ kind: 'restate', reason: 'reconcile', apply: true, ...range, result }, now()));
      return true;
    }
    return false;
  };

  const isDueAgain = ({ attempts, ended_at }: Attempts) =>
    attempts === 0 || ended_at <= now() - Math.min(firstPauseMs * 2 ** (attempts - 1), longestPauseMs);

  return async (seen, open) => {
    const { finalUntil } = seen;
    // It may end in the very turn that this is part of: so what is read beside it is not kept either.
    const isStale = open.some(changesAttempts);
    for (const kept of [failedHours, unrepaired]) kept.keeps(!isStale);
    // One of each at a time; one that does not get on (a minute that cannot be read) holds up the others for no longer.
    const isFree = (isOne: (job: Job) => boolean, standsStillMs: number) => {
      const ones = open.filter(isOne);
      return ones.length < mostOpen && ones.every(({ updatedAt }) => updatedAt <= now() - standsStillMs);
    };
    const isLateFree = isFree(job => laneOf(job) === 'late', 60_000);
    const isScan = now() >= scanAt;
    if (!isScan && !(moreIsDue && isLateFree)) return false;
    const finders = [
      { isWanted: isLateFree && (moreIsDue || lateLook.isDue(seen)), find: () => restate(seen) },
      { isWanted: isScan && isFree(({ reason }) => reason === 'hourly', 900_000), find: () => reconcile(finalUntil) },
      { isWanted: isScan && repairs && isFree(isRepair, 900_000), find: repair },
    ];
    if (isScan) scanAt = now() + scanMs;
    const found = await Promise.allSettled(finders.filter(({ isWanted }) => isWanted).map(({ find }) => find()));
    // None of them hides what another has found.
    for (const one of found) if (one.status === 'rejected') throw one.reason;
    return found.some(one => one.status === 'fulfilled' && one.value);
  };
}

/** Whether late lines are to be looked for. */
function createLateLook(now: () => number) {
  let last: Seen | undefined;
  let until = 0;
  let lookedAt = 0;
  return {
    isDue({ finalUntil, quarantined }: Seen): boolean {
      if (quarantined !== last?.quarantined || finalUntil !== last.finalUntil) return true;
      return now() < until || now() >= lookedAt + looksAgainMs;
    },
    looked(seen: Seen, areAny: boolean): void {
      lookedAt = now();
      // Lines may come into their table a little later than they are counted.
      if (areAny || seen.quarantined !== last?.quarantined) until = now() + looksAgainMs;
      last = seen;
    },
  };
}

/** What was read, for as long as nothing may make it another. */
function createKept<T>(read: () => Promise<readonly T[]>, now: () => number) {
  let known: { readonly rows: readonly T[]; readonly until: number } | undefined;
  let isKept = true;
  return {
    keeps(whetherKept: boolean): void {
      isKept = whetherKept;
      if (!isKept) known = undefined;
    },
    async read(): Promise<readonly T[]> {
      if (known !== undefined && now() < known.until) return known.rows;
      const rows = await read();
      if (isKept) known = { rows, until: now() + looksAgainMs };
      return rows;
    },
  };
}

/** By it, or by how it ends, what has failed or is to be repaired becomes another. */
function changesAttempts(job: Job): boolean {
  return job.kind === 'reconcile' || isRepair(job);
}

function isRepair({ kind, reason }: Job): boolean {
  return kind === 'restate' && reason === 'reconcile';
}

const hourMs = 60 * minuteMs;
/** In case something has changed that nobody was told of. */
const looksAgainMs = 60_000;
/** Of each of the three. */
const mostOpen = 8;
/** As long as late clicks come in. */
const suspectForMs = 8 * 24 * hourMs;
const firstPauseMs = 600_000;
const longestPauseMs = 6 * hourMs;
/** A reconciliation whose minutes have all become too old stays unrepaired: these must not hide the others for long. */
const unrepairedLookedAt = 100;
