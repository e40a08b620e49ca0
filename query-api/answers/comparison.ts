/** `compare=previous`: the same question of as long a range right before. */

import { Type } from 'typebox';
import { anyCountFields, countField, isoOf, pendingLateField, rangeFields, stateField } from '../http/parameters.ts';
import { type Finality, stateAt } from '../store/finality.ts';
import type { LateClicks } from '../store/late-clicks.ts';
import { stepsMs, type TimeRange } from '../time/time-range.ts';
import { type ReadDeps, readRanks, readTotals, selectionOf, type Wanted } from './readings.ts';

export const compareParameter = (description: string) =>
  Type.Optional(Type.Enum(['previous'], { type: 'string', description }));

export const previousField = (description: string) =>
  Type.Optional(
    Type.Object(
      {
        ...rangeFields,
        ...anyCountFields,
        state: stateField,
        pending_late: pendingLateField,
      },
      { additionalProperties: false, description: `with \`compare=previous\`: ${description}` },
    ),
  );

export function previousRange({ from, to }: TimeRange): TimeRange {
  return { from: Math.max(0, from - (to - from)), to: from };
}

/** A range and, where it is asked for, the one before: they are read as of one moment. */
export function withPrevious(range: TimeRange, before: TimeRange | undefined): TimeRange {
  return { from: before?.from ?? range.from, to: range.to };
}

/** Sums of a range before, as they stand in an answer. */
export async function readPrevious(deps: ReadDeps, wanted: Wanted, told: Finality, waiting: LateClicks) {
  const [{ rows, finality }, restated] = await Promise.all([
    readTotals(deps, { ...wanted, uniques: false }, told),
    deps.groups.restatedSteps(wanted.adIds, stepsMs.day, selectionOf(wanted)),
  ]);
  const { count = 0, duplicates = 0, late = 0 } = rows[0] ?? {};
  return {
    from: isoOf(wanted.from),
    to: isoOf(wanted.to),
    ...{ count, duplicates, late },
    state: stateAt(finality, wanted.to, restated.length > 0),
    pending_late: waiting.of(wanted.adIds)(wanted),
  };
}

export const previousRankField = Type.Optional(
  Type.Union(
    [
      Type.Object(
        { rank: Type.Integer({ minimum: 1 }), count: countField('distinct clicks') },
        { additionalProperties: false },
      ),
      Type.Null(),
    ],
    { description: 'with `compare=previous`: in the range before; null: it had no clicks' },
  ),
);

export const previousRangeField = Type.Optional(
  Type.Object(
    {
      ...rangeFields,
      state: stateField,
      pending_late: pendingLateField,
    },
    { additionalProperties: false, description: 'with `compare=previous`: the range before' },
  ),
);

/** Where listed ads stood in a range before. */
export async function readPreviousRanks(
  deps: ReadDeps,
  adIds: readonly string[],
  wanted: Wanted,
  told: Finality,
  late: LateClicks,
) {
  const [{ rows, finality }, restated] = await Promise.all([
    readRanks(deps, adIds, { ...wanted, uniques: false }, told),
    deps.groups.restatedSteps([], stepsMs.day, selectionOf(wanted)),
  ]);
  return {
    range: {
      from: isoOf(wanted.from),
      to: isoOf(wanted.to),
      state: stateAt(finality, wanted.to, restated.length > 0),
      pending_late: late.of([])(wanted),
    },
    of: new Map(rows.map(({ ad_id, rank, count }) => [ad_id, { rank, count }])),
  };
}
