/** Pure: rows of a series → a point for every step of the range, with zeroes where there are no rows. */

import { Type } from 'typebox';
import { anyCountFields, isoOf, pendingLateField, stateField, timeField } from '../http/parameters.ts';
import { type Finality, type State, stateAt } from '../store/finality.ts';
import { type Step, stepsOf } from '../time/steps.ts';
import type { TimeRange } from '../time/time-range.ts';
import type { ReadPoint } from './readings.ts';

export const SeriesPoint = Type.Object(
  { start: timeField('begin of the point'), ...anyCountFields, state: stateField, pending_late: pendingLateField },
  { additionalProperties: false },
);

interface Row<Late> {
  readonly start: number;
  readonly count: number;
  readonly duplicates: number;
  readonly late: Late;
}

/** `noLate` is what a step without clicks says of late ones. */
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
    const told = { state: stateOf({ from, to }, row), pending_late: lateIn({ from, to }) };
    return { start: isoOf(from), count, duplicates, late, ...told };
  });
}

/** Of a reading, `told` being the finality of a step nothing is known of. `restated`: begins of steps. */
export function pointsOfReading(
  rows: readonly ReadPoint[],
  source: 'counts' | 'raw',
  range: TimeRange,
  step: Step,
  told: Finality,
  restated: ReadonlySet<number>,
  lateIn: (step: TimeRange) => number,
) {
  return pointsOf<number | null, ReadPoint>(
    rows,
    range,
    step,
    source === 'raw' ? null : 0,
    ({ from, to }, row) => stateAt(row?.finality ?? told, to, restated.has(from)),
    lateIn,
  );
}
