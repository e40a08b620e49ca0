/**
 * Compares the clocks of brokers with that of this process, by the append times in their acknowledgements. Each partition
 * has the time of the broker that leads it, so brokers whose clocks differ close the same minute at different times; the
 * difference of two of them does not depend on ours.
 */
import { type Asked, aheadMs } from '../clock-difference.ts';
import { gauge } from '../metrics.ts';
import type { ProduceResult } from './produce-request.ts';

export class BrokerClocks {
  /** On the monotonic clock, by broker. */
  readonly #heardAtMs = new Map<number, number>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  acknowledged(broker: number, results: readonly ProduceResult[], asked: Asked): void {
    const appended = results.find(({ errorCode, appendedAt }) => errorCode === 0 && appendedAt >= 0);
    if (appended === undefined) return;
    const now = this.#now();
    aheadSeconds.set({ broker: `${broker}` }, aheadMs(appended.appendedAt, asked) / 1_000);
    this.#heardAtMs.set(broker, now);
    for (const [other, heardAtMs] of this.#heardAtMs) {
      if (now - heardAtMs <= silentMs) continue;
      aheadSeconds.remove({ broker: `${other}` });
      this.#heardAtMs.delete(other);
    }
  }
}

/** Of a broker that leads nothing any more, or is gone, nobody knows what its clock says now. */
const silentMs = 2 * 60_000;

const aheadSeconds = gauge(
  'broker_clock_ahead_seconds',
  'How far the clock of a broker is ahead of that of this process, by what it has appended in the last minutes; negative: behind',
  ['broker'],
);
