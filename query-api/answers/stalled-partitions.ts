/**
 * Finds the partitions that are not being counted. An idle partition gets a tick within seconds. So a partition is behind
 * when its last counted record is older than `oldMs`. If its position does not move either, it has stalled. While an
 * aggregator catches up, the position moves. The first look at a partition cannot know whether it moves: then `isUnsure`
 * is true, and a second look is needed `stillMs` later.
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

/** The age of the last counted record from which a partition is behind. */
export const oldMs = 60_000;
/** Long enough to see a position move: an aggregator that catches up commits twice a second. */
export const stillMs = 5_000;

export type StallWatch = ReturnType<typeof createStallWatch>;

/**
 * Remembers the position of each partition from one look to the next. `now` returns epoch ms, and `clock` milliseconds of a
 * clock that does not go back.
 */
export function createStallWatch(now: () => number, clock = () => performance.now()) {
  let seen = new Map<number, { readonly position: number; readonly at: number }>();
  return (progress: readonly Progress[]): StallsSeen => {
    const [epochMs, at] = [now(), clock()];
    const before = seen;
    seen = new Map(
      progress.map(({ partition, position }) => {
        const known = before.get(partition);
        return [partition, known?.position === position ? known : { position, at }];
      }),
    );
    const old = progress.filter(row => row.appended_at > 0 && epochMs - row.appended_at > oldMs);
    const isStill = ({ partition }: Progress) => at - (seen.get(partition)?.at ?? at) >= stillMs;
    return {
      stalled: old.filter(isStill).map(row => ({ partition: row.partition, since: row.appended_at })),
      isUnsure: old.some(row => !isStill(row) && before.get(row.partition)?.position === undefined),
    };
  };
}
