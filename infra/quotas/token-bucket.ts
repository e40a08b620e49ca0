/**
 * A token bucket: what may be used at once, and how fast it comes back. It is pure, and has two numbers and no timer.
 *
 * What is used may be more than what is there, because the size of a batch is known only once it is read, and a batch is
 * taken whole or refused whole. Then the bucket is below zero, and nothing more is taken until it is made good. It never
 * holds more than its burst, also after a change that makes the burst smaller.
 */
export interface BucketRule {
  readonly perSecond: number;
  /** The most that may be used at once. */
  readonly burst: number;
}

export class TokenBucket {
  #level: number;
  #atMs: number;

  /** Times are milliseconds of a clock that does not go back. */
  constructor(level: number, nowMs: number) {
    this.#level = level;
    this.#atMs = nowMs;
  }

  /** Returns what is in the bucket now. */
  level({ perSecond, burst }: BucketRule, nowMs: number): number {
    const passedS = Math.max(0, nowMs - this.#atMs) / 1_000;
    this.#level = Math.min(burst, this.#level + passedS * perSecond);
    this.#atMs = Math.max(this.#atMs, nowMs);
    return this.#level;
  }

  has(units: number, rule: BucketRule, nowMs: number): boolean {
    return this.level(rule, nowMs) >= units - roundingError;
  }

  /** What had come back until now beyond the burst does not count: a full bucket that is taken from was full. */
  take(units: number, rule: BucketRule, nowMs: number): void {
    this.#level = this.level(rule, nowMs) - units;
  }

  /** Whole seconds until `units` are there, from 1 to an hour: who waits so long finds them, if nobody else takes them. */
  waitS(units: number, rule: BucketRule, nowMs: number): number {
    const missing = units - this.level(rule, nowMs);
    return Math.min(3_600, Math.max(1, Math.ceil(missing / rule.perSecond)));
  }
}

/** Sums of parts of tokens may miss a whole one by this much. */
const roundingError = 1e-6;
