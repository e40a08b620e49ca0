/**
 * A recount may begin once raw holds all that was in the log when it was asked for, or it would miss clicks that the
 * stream has counted already. The clicks of a final minute that come later are too late, and ask for their own recount.
 */

import type { Pipeline } from '../counted-log.ts';
import type { Progress } from '../queries.ts';

export interface RawLog extends Pipeline {
  /** Offset of each partition before which all clicks are in `click_raw`. */
  rawPositions(): Promise<Map<number, number>>;
}

export interface RawGate {
  /** Whether raw has what the log held when this was first asked for the job. */
  passed(job: string, progress: readonly Progress[]): Promise<boolean>;
}

export function createRawGate(log: RawLog): RawGate {
  let waiting: { readonly job: string; readonly ends: ReadonlyMap<number, number> } | undefined;
  return {
    async passed(job, progress) {
      if (waiting?.job !== job) {
        const ends = new Map(await log.endOffsets());
        for (const { partition, position } of progress) {
          ends.set(partition, Math.max(position, ends.get(partition) ?? 0));
        }
        waiting = { job, ends };
      }
      const raw = await log.rawPositions();
      return [...waiting.ends].every(([partition, end]) => end === 0 || (raw.get(partition) ?? 0) >= end);
    },
  };
}
