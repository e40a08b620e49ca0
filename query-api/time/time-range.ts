/** Defines ranges of time and the lengths of the points of a series. */

import { millisecondsInDay, millisecondsInHour, millisecondsInMinute } from 'date-fns/constants';

/** [from, to) in epoch ms, at full minutes. */
export interface TimeRange {
  readonly from: number;
  readonly to: number;
}

export const minuteMs = millisecondsInMinute;

/** The lengths that a point of a series may have. */
export const stepsMs = { minute: minuteMs, hour: millisecondsInHour, day: millisecondsInDay } as const;
export type Granularity = keyof typeof stepsMs;
