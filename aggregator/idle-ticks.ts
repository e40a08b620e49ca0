/**
 * Decides when an idle partition needs a tick, which is a record without clicks whose append time moves the watermark.
 *
 * Each tick costs a record, a transaction of five requests, a fetch, an insert and a commit. So while no window is
 * open, ticks are as rare as possible without making any minute final later. One comes when event time passes from one
 * minute into the next. In between they come only often enough to show that the partition is alive.
 */
import { messageOf } from '../infra/errors.ts';
import type { Logger } from '../infra/log.ts';
import { windowMs } from './core/time.ts';
import * as metrics from './metrics.ts';

export interface IdleTicks {
  /** Starts counting the partition. The age of its watermark is not known yet. */
  begin(now: number): void;
  watermarkMoved(now: number): void;
  /** Is called every few tens of milliseconds. Never rejects. */
  onTimer(now: number, partition: () => ReadPartition): Promise<void>;
}

export interface ReadPartition {
  /** Ticks are appended only at the end of the log, because a tick says that no older click comes after it. */
  readonly isAtEnd: boolean;
  readonly watermark: number;
  readonly openWindows: number;
}

export function createIdleTicks(tickIntervalMs: number, append: () => Promise<void>, log: Logger): IdleTicks {
  const restIntervalMs = Math.max(tickIntervalMs, Math.min(tickIntervalMs * 6, longestRestMs));
  let movedAt = 0;
  let hasTicked = false;
  let isAppending = false;

  const isDue = (sinceMovedMs: number, { isAtEnd, watermark, openWindows }: ReadPartition) => {
    if (!isAtEnd) return false;
    // Until the first tick has been read, the watermark may be older than the time since it was last seen to move.
    if (openWindows > 0 || !hasTicked) return true;
    const minuteOf = (time: number) => Math.floor(time / windowMs);
    const minuteHasEnded = minuteOf(watermark + sinceMovedMs) > minuteOf(watermark);
    return minuteHasEnded || sinceMovedMs >= restIntervalMs;
  };

  return {
    begin(now) {
      movedAt = now;
      hasTicked = false;
    },
    watermarkMoved(now) {
      movedAt = now;
    },
    async onTimer(now, partition) {
      const sinceMovedMs = now - movedAt;
      if (isAppending || sinceMovedMs < tickIntervalMs || !isDue(sinceMovedMs, partition())) return;
      isAppending = true;
      movedAt = now;
      try {
        await append();
        hasTicked = true;
        metrics.ticks.inc();
      } catch (error) {
        log.warn({ why: messageOf(error) }, 'tick not appended');
      } finally {
        isAppending = false;
      }
    },
  };
}

/** Keeps the watermark of an idle partition less than a minute old. A partition with an older watermark has stalled. */
const longestRestMs = 30_000;
