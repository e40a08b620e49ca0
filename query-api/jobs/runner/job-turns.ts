/**
 * Decides which of the open jobs runs next. Pure.
 *
 * One job runs at a time. So turns are short, except those of restatements of late clicks, which are small jobs anyway
 * (late-queue.ts). There are three lanes: restatements of late clicks, and with them those of split ads (split-finder.ts),
 * which are as urgent and as small; the other jobs that the pipeline makes by itself
 * (hourly reconciliations, repairs), and the jobs that people have asked for.
 *
 * - A restatement of late clicks that is ready waits for at most one turn of another job. When such restatements follow
 *   each other without a gap, another job gets one turn between any two of them. Anybody can send late clicks, so they
 *   must not delay other jobs forever.
 * - The other two lanes take turns alternately while both have a job that is ready. So the jobs of people, however many
 *   there are, do not delay the pipeline's own jobs.
 * - Within a lane, the job that has waited longest for a turn is next, and a new job goes to the end of the line. So a
 *   short job behind `n` others ends after `n` turns, however long the others are.
 *
 * A job that could not do anything in its turn rests for a while, and the others continue.
 */
import type { Job } from '../../store/jobs/job.ts';

export interface JobTurns {
  /**
   * Returns the job that is next, or undefined if every job that is ready rests. Forgets jobs that are not in `open`.
   * `nowMs` and `restsUntil` are of the same clock, which does not go back.
   */
  next(open: readonly Job[], isReady: (job: Job) => boolean, nowMs: number): Job | undefined;
  /** Records that the job has had its turn. It gets no other turn before `restsUntil`. */
  record(job: Job, restsUntil?: number): void;
}

export type Lane = 'late' | 'own' | 'asked';

export function laneOf({ kind, reason }: Pick<Job, 'kind' | 'reason'>): Lane {
  if (kind === 'restate') return reason === 'late' || reason === 'split' ? 'late' : 'own';
  return reason === 'hourly' ? 'own' : 'asked';
}

export function createJobTurns(): JobTurns {
  /** Counts turns and new jobs. A smaller value was given earlier. */
  let clock = 0;
  let lastLane: Lane | undefined;
  const servedAt = { late: 0, own: 0, asked: 0 };
  const known = new Map<string, { place: number; restsUntil: number }>();

  const firstOf = (jobs: readonly Job[]): Job | undefined => {
    const placeOf = ({ id }: Job) => known.get(id)?.place ?? 0;
    return jobs.reduce<Job | undefined>(
      (first, job) => (first === undefined || placeOf(job) < placeOf(first) ? job : first),
      undefined,
    );
  };

  return {
    next(open, isReady, nowMs) {
      const ids = new Set(open.map(({ id }) => id));
      for (const id of known.keys()) if (!ids.has(id)) known.delete(id);
      for (const { id } of open) if (!known.has(id)) known.set(id, { place: ++clock, restsUntil: 0 });
      const ready = open.filter(job => isReady(job) && (known.get(job.id)?.restsUntil ?? 0) <= nowMs);
      const inLane = (lane: Lane) => ready.filter(job => laneOf(job) === lane);
      const late = firstOf(inLane('late'));
      if (late !== undefined && lastLane !== 'late') return late;
      const others: readonly Lane[] = servedAt.own <= servedAt.asked ? ['own', 'asked'] : ['asked', 'own'];
      return others.map(lane => firstOf(inLane(lane))).find(job => job !== undefined) ?? late;
    },
    record(job, restsUntil = 0) {
      lastLane = laneOf(job);
      servedAt[lastLane] = ++clock;
      known.set(job.id, { place: clock, restsUntil });
    },
  };
}
