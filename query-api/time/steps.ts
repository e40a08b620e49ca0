/** Pure: the steps of a series, one after another. SQL finds them as store/sql/step-start.ts says. */
import type { TimeRange } from './time-range.ts';

/** Its length in ms, on the clock of UTC; or where each step of the range begins, epoch ms in order, the first with the range. */
export type Step = number | readonly number[];

/** At most; a range need not lie on borders. */
export function stepsIn({ from, to }: TimeRange, step: Step): number {
  return typeof step === 'number' ? Math.ceil((to - from) / step) + 1 : step.length + 1;
}

/** Every step of the range, one after another. */
export function stepsOf({ from, to }: TimeRange, step: Step): TimeRange[] {
  if (typeof step !== 'number') return step.map((start, i) => ({ from: start, to: step[i + 1] ?? to }));
  const steps: TimeRange[] = [];
  for (let start = from; start < to; start += step) steps.push({ from: start, to: start + step });
  return steps;
}
