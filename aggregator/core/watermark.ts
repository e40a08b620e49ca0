/**
 * Bounded out-of-orderness, per partition, as a pure function of the log: the highest event time seen, clamped to the
 * append time of its record, less the bound. The clamp keeps a clock that runs ahead from closing windows that others
 * are still filling. After watermark W no click older than W is expected; it is never lower than before, as a lower
 * value would reopen windows already reported final. 0 = nothing is known yet.
 *
 * After Flink's BoundedOutOfOrdernessWatermarks.
 */
export class Watermark {
  #value: number;
  readonly #outOfOrdernessMs: number;

  constructor(outOfOrdernessMs: number, start: number) {
    this.#outOfOrdernessMs = outOfOrdernessMs;
    this.#value = start;
  }

  get value(): number {
    return this.#value;
  }

  /** True if the watermark has moved. */
  observe(eventTime: number, appendedAt: number): boolean {
    return this.raise(Math.min(eventTime, appendedAt) - this.#outOfOrdernessMs);
  }

  /** True if the watermark has moved. */
  raise(candidate: number): boolean {
    if (candidate <= this.#value) return false;
    this.#value = candidate;
    return true;
  }
}
