/** Pure: the steps of a series. In SQL they are computed by store/sql/step-start.ts. */
import type { TimeRange } from './time-range.ts';

/**
 * Either the length of a step in ms, where steps begin at multiples of it in UTC. Or the beginnings of all steps, in
 * order, in epoch ms, where the first step begins with the range.
 */
export type Step = number | readonly number[];

/** Returns the highest possible number of steps. A range may begin or end within a step. */
export function stepsIn({ from, to }: TimeRange, step: Step): number {
  return typeof step === 'number' ? Math.ceil((to - from) / step) + 1 : step.length + 1;
}

/** Returns all steps of the range in order. */
export function stepsOf({ from, to }: TimeRange, step: Step): TimeRange[] {
  if (typeof step !== 'number') return step.map((start, i) => ({ from: start, to: step[i + 1] ?? to }));
  const steps: TimeRange[] = [];
  for (let start = from; start < to; start += step) steps.push({ from: start, to: start + step });
  return steps;
}
