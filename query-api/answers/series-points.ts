/** Pure: makes a point for every step of a range from the rows of a series. A step without rows gets zeroes. */

import { type Static, Type } from 'typebox';
import { mapped, type Slices } from '../../infra/slices.ts';
import { reasonsFields } from '../http/asked-clicks.ts';
import { anyCountFields, isoOf, pendingFields, stateField, timeField } from '../http/parameters.ts';
import { type Finality, stateAt } from '../store/finality.ts';
import type { PendingFields } from '../store/pending.ts';
import { type Step, stepsOf } from '../time/steps.ts';
import type { TimeRange } from '../time/time-range.ts';
import type { ReadPoint } from './readings.ts';
import { noCounts, type ShownCounts } from './shown-counts.ts';

export const SeriesPoint = Type.Object(
  {
    start: timeField('When the point begins.'),
    ...anyCountFields,
    ...reasonsFields,
    state: stateField,
    ...pendingFields,
  },
  { additionalProperties: false },
);

/**
 * Makes the points of a reading. `known` is the finality of a step that has no row. `restated` contains the starts of the
 * steps that were restated.
 */
export function* pointsOfReading(
  rows: readonly ReadPoint[],
  source: 'counts' | 'raw',
  range: TimeRange,
  step: Step,
  known: Finality,
  restated: ReadonlySet<number>,
  pendingIn: (step: TimeRange) => PendingFields,
): Slices<Static<typeof SeriesPoint>[]> {
  const rowAt = new Map(rows.map(row => [row.start, row]));
  return yield* mapped(stepsOf(range, step), ({ from, to }) => {
    const row = rowAt.get(from);
    const { count, duplicates, late, gross, net, invalid, invalid_by, rules }: ShownCounts = row ?? noCounts[source];
    const reasons = invalid_by === undefined || rules === undefined ? {} : { invalid_by, rules };
    const state = stateAt(row?.finality ?? known, to, restated.has(from));
    const counts = { count, duplicates, late, gross, net, invalid, ...reasons };
    return { start: isoOf(from), ...counts, state, ...pendingIn({ from, to }) };
  });
}
