/** Pure: the steps of a series, as SQL finds them and as they follow each other. */
import { type Sql, sql } from '../../infra/clickhouse/sql.ts';
import type { TimeRange } from '../store/ad-counts.ts';

/** Its length in ms, on the clock of UTC; or where each step of the range begins, epoch ms in order, the first with the range. */
export type Step = number | readonly number[];

/** SQL: begin of the step that holds a minute, epoch ms. */
export function startOf(minute: Sql, step: Step): Sql {
  if (typeof step !== 'number') {
    const starts = step.map(start => start / 1_000);
    return sql`toInt64(roundDown(toInt64(toUnixTimestamp(${minute})), ${starts})) * 1000`;
  }
  const seconds = step / 1_000;
  return sql`toInt64(intDiv(toUnixTimestamp(${minute}), ${seconds})) * ${seconds} * 1000`;
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
