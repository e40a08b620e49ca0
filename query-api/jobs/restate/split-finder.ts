/**
 * Makes the jobs that count minutes of split ads again, so that caps of the rules of invalid clicks apply to the clicks of
 * all partitions together (decision 044). Which minutes wait for this follows from the rows alone
 * (`query-api/store/split-clicks.ts`): a minute is recounted once, whoever runs the jobs.
 *
 * A job that is open holds its minutes, and one that has failed holds them for a pause, as with late minutes. A minute of
 * a failed job then gets a job of its own, so that it does not make others fail again.
 */
import type { Logger } from '../../../infra/log.ts';
import { type Job, newJob } from '../../store/jobs/job.ts';
import type { JobStore } from '../../store/jobs/job-store.ts';
import type { SplitReading } from '../../store/split-clicks.ts';
import { minuteMs } from '../../time/time-range.ts';
import { isPaused } from '../stated-moments.ts';
import type { JobWriter } from '../writing/job-writer.ts';

export interface SplitFinderDeps {
  readonly store: Pick<JobStore, 'failedSplitMinutes'> & Pick<JobWriter, 'save'>;
  /** Must not keep what it has read, because a minute that waited a moment ago may be recounted since. */
  readonly splitClicks: SplitReading;
  readonly now: () => number;
  readonly log: Logger;
}

/** Returns true if it has made a job. `finalUntil` is epoch ms, and `open` contains the jobs that wait or run. */
export type SplitFinder = (finalUntil: number, open: readonly Job[]) => Promise<boolean>;

export function createSplitFinder({ store, splitClicks, now, log }: SplitFinderDeps): SplitFinder {
  let isSuspectNext = false;

  /** The oldest minutes come first. */
  const nextOf = async (waiting: readonly number[]): Promise<readonly number[]> => {
    /** Whether a job of the minute has failed lately. */
    const failed = new Map<number, boolean>();
    for (const { minutes, ended_at } of await store.failedSplitMinutes(now() - suspectForMs))
      for (const minute of minutes)
        failed.set(minute, failed.get(minute) === true || isPaused(pauseMs, ended_at, now()));
    const due = waiting.filter(minute => failed.get(minute) !== true);
    const suspects = due.filter(minute => failed.has(minute));
    const others = due.filter(minute => !failed.has(minute));
    isSuspectNext = suspects.length > 0 && (others.length === 0 || !isSuspectNext);
    return isSuspectNext ? suspects.slice(0, 1) : others.slice(0, minutesPerJob);
  };

  return async (finalUntil, open) => {
    const split = await splitClicks(finalUntil);
    const held = new Set(open.filter(({ kind }) => kind === 'restate').flatMap(job => job.minutes));
    const waiting = split.minutes.filter(minute => !held.has(minute));
    if (waiting.length === 0) return false;
    const minutes = await nextOf(waiting);
    const [from, last] = [minutes[0], minutes.at(-1)];
    if (from === undefined || last === undefined) return false;
    const job = newJob(
      { kind: 'restate', reason: 'split', apply: true, from, to: last + minuteMs, minutes: [...minutes] },
      now(),
    );
    await store.save(job);
    log.info({ job: job.id, minutes: minutes.length }, 'split ads: minutes are to be restated');
    return true;
  };
}

/** Fewer than of late minutes, because a minute in which an ad is split has many clicks. */
const minutesPerJob = 30;
/** The pause after a job has failed. */
const pauseMs = 600_000;
/** Raw clicks, without which nothing is recounted, are not kept for longer. */
const suspectForMs = 36 * 86_400_000;
