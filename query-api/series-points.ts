/** Pure: rows of a series → a point for every step of the range, with zeroes where there are no rows. */
import { Type } from 'typebox';
import type { State } from './finality.ts';
import { countFields, isoOf, stateField, timeField } from './parameters.ts';
import { type Counts, noClicks, type TimeRange } from './queries.ts';

export const SeriesPoint = Type.Object(
  { start: timeField('begin of the point'), ...countFields, state: stateField },
  { additionalProperties: false },
);

export function pointsOf(
  rows: readonly (Counts & { readonly start: number })[],
  range: TimeRange,
  stepMs: number,
  stateOf: (start: number) => State,
) {
  const rowAt = new Map(rows.map(row => [row.start, row]));
  const points = [];
  for (let start = range.from; start < range.to; start += stepMs) {
    const { count, duplicates, late } = rowAt.get(start) ?? noClicks;
    points.push({ start: isoOf(start), count, duplicates, late, state: stateOf(start) });
  }
  return points;
}
