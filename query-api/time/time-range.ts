/** Spans of time: half-open ranges of whole minutes, and the lengths of a point of a series. */

import { millisecondsInDay, millisecondsInHour, millisecondsInMinute } from 'date-fns/constants';

/** Half-open, epoch ms, whole minutes. */
export interface TimeRange {
  readonly from: number;
  readonly to: number;
}

export const minuteMs = millisecondsInMinute;

/** Lengths of a point of a series. */
export const stepsMs = { minute: minuteMs, hour: millisecondsInHour, day: millisecondsInDay } as const;
export type Granularity = keyof typeof stepsMs;
