/**
 * Computes the watermark of a partition, with bounded out-of-orderness, as a pure function of the log.
 *
 * It is the highest event time seen, limited to the append time of its record, minus the bound. The limit keeps a clock
 * that runs ahead from closing windows that others are still filling. After watermark W no click older than W is
 * expected. The watermark never goes back, because a lower value would reopen windows that were reported as final. 0
 * means that nothing is known yet.
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

  /** Returns true if the watermark has moved. */
  observe(eventTime: number, appendedAt: number): boolean {
    return this.raise(Math.min(eventTime, appendedAt) - this.#outOfOrdernessMs);
  }

  /** Returns true if the watermark has moved. */
  raise(candidate: number): boolean {
    if (candidate <= this.#value) return false;
    this.#value = candidate;
    return true;
  }
}
