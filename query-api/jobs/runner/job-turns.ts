/**
 * Whose turn it is among the open jobs. One runs at a time, so a turn is short for all but restatements of late clicks,
 * which are small by themselves (late-queue.ts). Pure.
 *
 * There are three lanes: restatements of late clicks; what the pipeline does by itself besides (hourly
 * reconciliations, repairs); what people have asked for.
 *
 * - A restatement of late clicks that is ready goes next, after one turn of another job at most. While they follow each
 *   other without a gap, between two of them another job has one turn: late clicks, which anybody can send, hold up
 *   nobody for ever either.
 * - Of the other turns the lanes have one each, alternately, while both have something to do: what people ask for, however much
 *   it is, does not hold up what the pipeline owes by itself.
 * - Within a lane the jobs go round: the longest without a turn is next, and a new one stands behind those that are there. So
 *   a short job behind `n` others ends after `n` turns, however long they are.
 *
 * A job that could do nothing in its turn rests for a while, and the others go on.
 */
import type { Job } from '../../store/jobs/job.ts';

export interface JobTurns {
  /** The next of the open jobs; undefined where all that are `ready` rest. What is open no more is forgotten. */
  next(open: readonly Job[], isReady: (job: Job) => boolean, now: number): Job | undefined;
  /** It has had its turn, and is not asked again before `restsUntil`. */
  had(job: Job, restsUntil?: number): void;
}

export type Lane = 'late' | 'own' | 'asked';

export function laneOf({ kind, reason }: Pick<Job, 'kind' | 'reason'>): Lane {
  if (kind === 'restate') return reason === 'late' ? 'late' : 'own';
  return reason === 'hourly' ? 'own' : 'asked';
}

export function createJobTurns(): JobTurns {
  /** Counts turns, and jobs as they are first seen: the smaller, the longer ago. */
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
    next(open, isReady, now) {
      const ids = new Set(open.map(({ id }) => id));
      for (const id of known.keys()) if (!ids.has(id)) known.delete(id);
      for (const { id } of open) if (!known.has(id)) known.set(id, { place: ++clock, restsUntil: 0 });
      const ready = open.filter(job => isReady(job) && (known.get(job.id)?.restsUntil ?? 0) <= now);
      const inLane = (lane: Lane) => ready.filter(job => laneOf(job) === lane);
      const late = firstOf(inLane('late'));
      if (late !== undefined && lastLane !== 'late') return late;
      const others: readonly Lane[] = servedAt.own <= servedAt.asked ? ['own', 'asked'] : ['asked', 'own'];
      return others.map(lane => firstOf(inLane(lane))).find(job => job !== undefined) ?? late;
    },
    had(job, restsUntil = 0) {
      lastLane = laneOf(job);
      servedAt[lastLane] = ++clock;
      known.set(job.id, { place: clock, restsUntil });
    },
  };
}
