/**
 * Holds what one API key uses in this process, and remembers for how long it has been at which of its quotas.
 */
import type { Key } from '../keys/key-book.ts';
import type { QuotaName } from '../quotas/quotas.ts';
import type { TokenBucket } from '../quotas/token-bucket.ts';

/** Quotas of which so many are held at a time, rather than used up. */
export type HeldName = 'bytes_in_flight' | 'connections' | 'open_jobs' | 'exports' | 'live_listeners';
/** Quotas that are used up and come back. */
export type RateName = 'clicks_per_second' | 'raw_read_seconds_per_minute';

export class KeyLoad {
  /** As it was when it was asked for last. */
  key: Key;
  readonly held: Record<HeldName, number> = {
    bytes_in_flight: 0,
    connections: 0,
    open_jobs: 0,
    exports: 0,
    live_listeners: 0,
  };
  readonly buckets: Partial<Record<RateName, TokenBucket>> = {};
  readonly #refused = new Map<QuotaName, { sinceMs: number; lastMs: number }>();
  /** Units that were asked for since the last beat, and requests that were taken and their units, lately. */
  #asked = 0;
  #requests = 0;
  #units = 0;
  #demand: number | undefined;

  constructor(key: Key) {
    this.key = key;
  }

  takes(units: number, isFirst: boolean): void {
    this.#asked += units;
    this.#units += units;
    if (isFirst) this.#requests++;
  }

  /** Nobody has read how much was asked for. It counts as much as a request that was taken. */
  refuses(quota: QuotaName, nowMs: number): void {
    if (quota === 'clicks_per_second') this.#asked += this.#requests > 0 ? this.#units / this.#requests : 1;
    const known = this.#refused.get(quota);
    if (known === undefined || nowMs - known.lastMs > pauseMs)
      this.#refused.set(quota, { sinceMs: nowMs, lastMs: nowMs });
    else known.lastMs = nowMs;
  }

  /** For how long it has been refused something again and again, until now. */
  atQuotaMs(quota: QuotaName, nowMs: number): number {
    const known = this.#refused.get(quota);
    return known === undefined || nowMs - known.lastMs > pauseMs ? 0 : known.lastMs - known.sinceMs;
  }

  /** Units per second that are asked for, as the average of the last beats. */
  demandAfter(passedMs: number): number {
    const now = this.#asked / (passedMs / 1_000);
    this.#asked = 0;
    this.#units *= keptOfAverage;
    this.#requests *= keptOfAverage;
    this.#demand = this.#demand === undefined ? now : this.#demand * keptOfAverage + now * (1 - keptOfAverage);
    if (this.#demand < leastDemand) this.#demand = undefined;
    return this.#demand ?? 0;
  }
}

/** A key that was refused nothing for so long is not at its quota any more. */
const pauseMs = 60_000;
const keptOfAverage = 0.7;
const leastDemand = 0.01;
