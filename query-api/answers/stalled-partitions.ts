/**
 * Which partitions are not being counted. Each gets a tick within seconds where nothing else comes in, so one whose last
 * counted record is older than `oldMs` is behind; and it has stalled if it does not move either. One that is catching up
 * moves. Whoever has just begun to look does not know yet: `isUnsure` asks for a second look, `stillMs` later.
 */
import type { Progress } from '../../aggregator/ad-minute.ts';

export interface Stall {
  readonly partition: number;
  /** The broker's time of the last record that was counted, epoch ms. */
  readonly since: number;
}

export interface StallsSeen {
  readonly stalled: readonly Stall[];
  readonly isUnsure: boolean;
}

/** How old the last counted record is where something is wrong, or is being caught up with. */
export const oldMs = 60_000;
/** An aggregator that catches up commits twice a second. */
export const stillMs = 5_000;

export type StallWatch = ReturnType<typeof createStallWatch>;

/** Remembers a position for each partition. `now`: epoch ms. */
export function createStallWatch(now: () => number) {
  let seen = new Map<number, { readonly position: number; readonly at: number }>();
  return (progress: readonly Progress[]): StallsSeen => {
    const at = now();
    const before = seen;
    seen = new Map(
      progress.map(({ partition, position }) => {
        const known = before.get(partition);
        return [partition, known?.position === position ? known : { position, at }];
      }),
    );
    const old = progress.filter(row => row.appended_at > 0 && at - row.appended_at > oldMs);
    const isStill = ({ partition }: Progress) => at - (seen.get(partition)?.at ?? at) >= stillMs;
    return {
      stalled: old.filter(isStill).map(row => ({ partition: row.partition, since: row.appended_at })),
      isUnsure: old.some(row => !isStill(row) && before.get(row.partition)?.position === undefined),
    };
  };
}
