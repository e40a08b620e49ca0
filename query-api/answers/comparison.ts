/** Answers `compare=previous`: the same question about the range of the same length right before. */

import { Type } from 'typebox';
import { reasonsFields } from '../http/asked-clicks.ts';
import { anyClicksFields, anyCountFields, isoOf, pendingFields, rangeFields, stateField } from '../http/parameters.ts';
import { type Finality, stateAt } from '../store/finality.ts';
import { type Pending, pendingOf } from '../store/pending.ts';
import { stepsMs, type TimeRange } from '../time/time-range.ts';
import { type ReadCounts, type ReadDeps, readRanks, readTotals, selectionOf, type Wanted } from './readings.ts';
import { noCounts } from './shown-counts.ts';

export const compareParameter = (description: string) =>
  Type.Optional(Type.Enum(['previous'], { type: 'string', description }));

export const previousField = (description: string) =>
  Type.Optional(
    Type.Object(
      {
        ...rangeFields,
        ...anyCountFields,
        ...reasonsFields,
        state: stateField,
        ...pendingFields,
      },
      { additionalProperties: false, description: `Only with \`compare=previous\`: ${description}` },
    ),
  );

export function previousRange({ from, to }: TimeRange): TimeRange {
  return { from: Math.max(0, from - (to - from)), to: from };
}

/** Returns the range that is read: with `before`, both ranges, so that they are read at one moment. */
export function withPrevious(range: TimeRange, before: TimeRange | undefined): TimeRange {
  return { from: before?.from ?? range.from, to: range.to };
}

/** Returns the sums of the previous range as an answer has them. */
export async function readPrevious(deps: ReadDeps, wanted: Wanted, known: Finality, pending: Pending) {
  const [{ rows, finality }, restated] = await Promise.all([
    readTotals(deps, { ...wanted, uniques: false }, known),
    deps.groups.restatedSteps(wanted.adIds, stepsMs.day, selectionOf(wanted)),
  ]);
  const { uniques, ...counts }: ReadCounts = rows[0] ?? noCounts.counts;
  return {
    from: isoOf(wanted.from),
    to: isoOf(wanted.to),
    ...counts,
    state: stateAt(finality, wanted.to, restated.length > 0),
    ...pendingOf(pending, wanted.adIds)(wanted),
  };
}

export const previousRankField = Type.Optional(
  Type.Union(
    [
      Type.Object({ rank: Type.Integer({ minimum: 1 }), ...anyClicksFields }, { additionalProperties: false }),
      Type.Null(),
    ],
    {
      description:
        'Only with `compare=previous`: rank and count in the previous range. Null: the ad had no clicks in it.',
    },
  ),
);

export const previousRangeField = Type.Optional(
  Type.Object(
    {
      ...rangeFields,
      state: stateField,
      ...pendingFields,
    },
    { additionalProperties: false, description: 'Only with `compare=previous`: the previous range.' },
  ),
);

/** Returns the ranks of the listed ads in the previous range. */
export async function readPreviousRanks(
  deps: ReadDeps,
  adIds: readonly string[],
  wanted: Wanted,
  known: Finality,
  pending: Pending,
) {
  const [{ rows, finality }, restated] = await Promise.all([
    readRanks(deps, adIds, { ...wanted, uniques: false }, known),
    deps.groups.restatedSteps([], stepsMs.day, selectionOf(wanted)),
  ]);
  return {
    range: {
      from: isoOf(wanted.from),
      to: isoOf(wanted.to),
      state: stateAt(finality, wanted.to, restated.length > 0),
      ...pendingOf(pending, [])(wanted),
    },
    of: new Map(
      rows.map(({ ad_id, rank, count, gross, net, invalid }) => [ad_id, { rank, count, gross, net, invalid }]),
    ),
  };
}
