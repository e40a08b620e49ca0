/** What is stored beside a committed position C: enough to rebuild the state at C from the log. */
export interface Checkpoint {
  /** First offset that holds a click of a window not final at C; C itself if there is none. */
  readonly restoreFrom: number;
  /** The watermark just before that record. */
  readonly watermarkAtRestoreFrom: number;
  /**
   * The watermark and the end of the last final window, as reported at C. Re-reading arrives at the same, unless the
   * bound or the lateness were configured anew in between: then what was reported stays reported.
   */
  readonly watermark: number;
  readonly finalUntil: number;
  readonly totals: Totals;
}

/** Lines since the beginning of the log. */
export interface Totals {
  readonly received: number;
  readonly counted: number;
  readonly duplicates: number;
  readonly quarantined: number;
}

/** The beginning of a log that starts at offset `position`. */
export function freshCheckpoint(position: number): Checkpoint {
  return { restoreFrom: position, watermarkAtRestoreFrom: 0, watermark: 0, finalUntil: 0, totals: noTotals };
}

const noTotals: Totals = { received: 0, counted: 0, duplicates: 0, quarantined: 0 };
