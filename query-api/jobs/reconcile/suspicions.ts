/** Remembers when a difference was first seen at the place at which a reconciliation stands. */
import type { Job } from '../../store/jobs/job.ts';

/**
 * Returns the moment (epoch ms): `now`, if nothing was seen there before. The job may have stood there for long before, as it
 * does while late clicks wait, so this is not when it was last saved.
 */
export type FirstSeen = (job: Pick<Job, 'id' | 'position'>, now: number) => number;

/** Of at most a thousand jobs, those that were asked about last: reconciliations take turns, and all of them may wait. */
export function rememberSuspicions(): FirstSeen {
  const known = new Map<string, { readonly position: number; readonly at: number }>();
  return ({ id, position }, now) => {
    const before = known.get(id);
    known.delete(id);
    const seen = before?.position === position ? before : { position, at: now };
    known.set(id, seen);
    if (known.size > mostKnown) known.delete(known.keys().next().value ?? '');
    return seen.at;
  };
}

const mostKnown = 1_000;
