/** Spans of time: half-open ranges of whole minutes, and the lengths of a point of a series. */

/** Half-open, epoch ms, whole minutes. */
export interface TimeRange {
  readonly from: number;
  readonly to: number;
}

export const minuteMs = 60_000;

/** Lengths of a point of a series. */
export const stepsMs = { minute: minuteMs, hour: 60 * minuteMs, day: 1_440 * minuteMs } as const;
export type Granularity = keyof typeof stepsMs;
