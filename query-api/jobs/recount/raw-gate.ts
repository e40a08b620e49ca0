/**
 * A recount may begin once raw holds all that was in the log when it was asked for, or it would miss clicks that the
 * stream has counted already. The clicks of a final minute that come later are too late, and ask for their own recount.
 *
 * Each job has a target of its own, taken once, when it is first asked about: traffic that goes on, and jobs that come
 * later, move nobody's target. A job that has passed needs Kafka no more; one that is open no more is forgotten.
 */

import type { Progress } from '../../../aggregator/ad-minute.ts';
import type { RawLog } from '../../log/counted-log.ts';

export interface RawGate {
  /**
   * Those of the open jobs for which raw has what the log held when this was first asked for them. Rejects where Kafka
   * does not answer and no job has passed before: whoever has goes on without it.
   */
  passed(open: readonly string[], progress: readonly Progress[]): Promise<ReadonlySet<string>>;
}

export function createRawGate(log: RawLog): RawGate {
  const targets = new Map<string, ReadonlyMap<number, number>>();
  const passed = new Set<string>();

  const setTargets = async (jobs: readonly string[], progress: readonly Progress[]) => {
    const ends = new Map(await log.endOffsets());
    for (const { partition, position } of progress) {
      ends.set(partition, Math.max(position, ends.get(partition) ?? 0));
    }
    for (const job of jobs) targets.set(job, ends);
  };

  const look = async () => {
    const raw = await log.rawPositions();
    for (const [job, ends] of targets) {
      if (![...ends].every(([partition, end]) => end === 0 || (raw.get(partition) ?? 0) >= end)) continue;
      targets.delete(job);
      passed.add(job);
    }
  };

  return {
    async passed(open, progress) {
      const named = new Set(open);
      for (const job of [...targets.keys(), ...passed]) {
        if (named.has(job)) continue;
        targets.delete(job);
        passed.delete(job);
      }
      const isNew = (job: string) => !targets.has(job) && !passed.has(job);
      const fresh = open.filter(isNew);
      try {
        if (fresh.length > 0) await setTargets(fresh, progress);
        if (targets.size > 0) await look();
      } catch (error) {
        if (passed.size === 0) throw error;
      }
      return new Set(passed);
    },
  };
}
