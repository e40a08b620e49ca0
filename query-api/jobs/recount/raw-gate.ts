/**
 * Decides when a recount may begin: once raw holds everything that the log held when the gate first saw the job.
 * Otherwise the recount would miss clicks that the stream has already counted. Clicks of a final minute that arrive
 * later are too late and cause a recount of their own.
 *
 * Each job has its own target, which is set once, when the gate first sees the job. So further traffic and later jobs
 * never move it. A job that has passed does not need Kafka any more. A job that is not open any more is forgotten.
 */

import type { Progress } from '../../../aggregator/ad-minute.ts';
import type { RawLog } from '../../log/counted-log.ts';

export interface RawGate {
  /**
   * Returns the open jobs that may begin. Rejects when Kafka does not answer and no open job has passed before. Jobs
   * that have passed continue without Kafka.
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
