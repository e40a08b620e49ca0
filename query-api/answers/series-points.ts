/** Pure: makes a point for every step of a range from the rows of a series. A step without rows gets zeroes. */

import { Type } from 'typebox';
import { anyCountFields, isoOf, pendingLateField, stateField, timeField } from '../http/parameters.ts';
import { type Finality, type State, stateAt } from '../store/finality.ts';
import { type Step, stepsOf } from '../time/steps.ts';
import type { TimeRange } from '../time/time-range.ts';
import type { ReadPoint } from './readings.ts';

export const SeriesPoint = Type.Object(
  { start: timeField('When the point begins.'), ...anyCountFields, state: stateField, pending_late: pendingLateField },
  { additionalProperties: false },
);

interface Row<Late> {
  readonly start: number;
  readonly count: number;
  readonly duplicates: number;
  readonly late: Late;
}

/** `noLate` is the value of `late` for a step without clicks. */
export function pointsOf<Late extends number | null, R extends Row<Late>>(
  rows: readonly R[],
  range: TimeRange,
  step: Step,
  noLate: Late,
  stateOf: (step: TimeRange, row: R | undefined) => State,
  lateIn: (step: TimeRange) => number,
) {
  const rowAt = new Map(rows.map(row => [row.start, row]));
  return stepsOf(range, step).map(({ from, to }) => {
    const row = rowAt.get(from);
    const { count, duplicates, late } = row ?? { count: 0, duplicates: 0, late: noLate };
    const stated = { state: stateOf({ from, to }, row), pending_late: lateIn({ from, to }) };
    return { start: isoOf(from), count, duplicates, late, ...stated };
  });
}

/**
 * Makes the points of a reading. `known` is the finality of a step that has no row. `restated` contains the starts of the
 * steps that were restated.
 */
export function pointsOfReading(
  rows: readonly ReadPoint[],
  source: 'counts' | 'raw',
  range: TimeRange,
  step: Step,
  known: Finality,
  restated: ReadonlySet<number>,
  lateIn: (step: TimeRange) => number,
) {
  return pointsOf<number | null, ReadPoint>(
    rows,
    range,
    step,
    source === 'raw' ? null : 0,
    ({ from, to }, row) => stateAt(row?.finality ?? known, to, restated.has(from)),
    lateIn,
  );
}
