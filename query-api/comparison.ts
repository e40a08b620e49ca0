/** `compare=previous`: the same question of as long a range right before. */
import { Type } from 'typebox';
import { type Finality, stateAt } from './finality.ts';
import { anyCountFields, isoOf, stateField, timeField } from './parameters.ts';
import type { TimeRange } from './queries.ts';
import { type ReadDeps, readTotals, selectionOf, type Wanted } from './readings.ts';
import { stepsMs } from './time-range.ts';

export const compareParameter = (description: string) =>
  Type.Optional(Type.Enum(['previous'], { type: 'string', description }));

export const previousField = (description: string) =>
  Type.Optional(
    Type.Object(
      { from: timeField('begin, inclusive'), to: timeField('end, exclusive'), ...anyCountFields, state: stateField },
      { additionalProperties: false, description: `with \`compare=previous\`: ${description}` },
    ),
  );

export function previousRange({ from, to }: TimeRange): TimeRange {
  return { from: Math.max(0, from - (to - from)), to: from };
}

/** Sums of a range before, as they stand in an answer. */
export async function readPrevious(deps: ReadDeps, wanted: Wanted, told: Finality) {
  const { rows, finality } = await readTotals(deps, { ...wanted, uniques: false }, told);
  const restated = await deps.groups.restatedSteps(wanted.adIds, stepsMs.day, selectionOf(wanted));
  const { count = 0, duplicates = 0, late = 0 } = rows[0] ?? {};
  return {
    from: isoOf(wanted.from),
    to: isoOf(wanted.to),
    ...{ count, duplicates, late },
    state: stateAt(finality, wanted.to, restated.length > 0),
  };
}
