/**
 * Measures, as a pure function, for how long the event loop has stood still through its own fault. Time in which the
 * watchdog itself did not run does not count (the process was stopped, the machine slept). Time in which the thread
 * only waited for a free processor does not count either, because ending a process for that would make a busy machine
 * busier.
 */

export interface Turn {
  readonly nowMs: number;
  /** How often the event loop has beaten. */
  readonly beats: number;
  /** For how long its thread has waited for a processor since it began. It is 0 where that is not known. */
  readonly waitedMs: number;
}

export class WatchdogClock {
  readonly #turnMs: number;
  #last: Turn;
  #stoodMs = 0;

  /** Must be asked every `turnMs`. */
  constructor(turnMs: number, first: Turn) {
    this.#turnMs = turnMs;
    this.#last = first;
  }

  /** Milliseconds without a beat. */
  stoodMs(turn: Turn): number {
    const tookMs = turn.nowMs - this.#last.nowMs;
    // A late turn means that no thread ran for that time.
    const countedMs = Math.min(tookMs, this.#turnMs) - Math.max(0, turn.waitedMs - this.#last.waitedMs);
    this.#stoodMs = turn.beats === this.#last.beats ? this.#stoodMs + Math.max(0, countedMs) : 0;
    this.#last = turn;
    return this.#stoodMs;
  }
}
