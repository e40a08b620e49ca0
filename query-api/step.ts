/** Pure: the steps of a series, as SQL finds them and as they follow each other. */
import type { TimeRange } from './queries.ts';
import { integer } from './read-settings.ts';

/** Its length in ms, on the clock of UTC; or where each step of the range begins, epoch ms in order. */
export type Step = number | readonly number[];

/** SQL: begin of the step that holds a minute, epoch ms. */
export function startOf(minute: string, step: Step): string {
  if (typeof step !== 'number') {
    const starts = step.map(start => integer(start / 1_000));
    return `toInt64(roundDown(toUInt32(toUnixTimestamp(${minute})), [${starts}])) * 1000`;
  }
  const seconds = integer(step / 1_000);
  return `toInt64(intDiv(toUnixTimestamp(${minute}), ${seconds})) * ${seconds} * 1000`;
}

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
