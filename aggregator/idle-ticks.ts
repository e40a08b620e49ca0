/**
 * Ticks for one partition that is idle: records without clicks, whose append time moves the watermark.
 *
 * Each is a record, a transaction of five requests, a fetch, an insert and a commit. So where no window is open they
 * come as rarely as they may without a minute becoming final later: when event time passes from one minute into the next,
 * and in between only often enough to show that the partition is alive.
 */
import { messageOf } from '../infra/errors.ts';
import type { Logger } from '../infra/log.ts';
import { windowMs } from './core/time.ts';
import * as metrics from './metrics.ts';

export interface IdleTicks {
  /** The partition begins to be counted; nothing is known of how old its watermark is. */
  begin(now: number): void;
  watermarkMoved(now: number): void;
  /** To be called every few tens of ms. Never rejects. */
  onTimer(now: number, partition: () => ReadPartition): Promise<void>;
}

export interface ReadPartition {
  /** Only then: a tick says that nothing older stands before it. */
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
    // Until a tick has come back, the watermark may be older than the time since it was seen to move.
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

/** So that the watermark of a partition at rest is always less than a minute old: whose is older has stalled. */
const longestRestMs = 30_000;
