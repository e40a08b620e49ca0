/** Computes the steps of a series in SQL. */
import { type Sql, sql } from '../../../infra/clickhouse/sql.ts';
import type { Step } from '../../time/steps.ts';

/** SQL for the beginning of the step that contains a minute, in epoch ms. */
export function startOf(minute: Sql, step: Step): Sql {
  if (typeof step !== 'number') {
    const starts = step.map(start => start / 1_000);
    return sql`toInt64(roundDown(toInt64(toUnixTimestamp(${minute})), ${starts})) * 1000`;
  }
  const seconds = step / 1_000;
  return sql`toInt64(intDiv(toUnixTimestamp(${minute}), ${seconds})) * ${seconds} * 1000`;
}
