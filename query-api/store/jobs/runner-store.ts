/** Table `job_runner`: which process runs the jobs, and when it last reported that it is alive. */
import { Type } from 'typebox';
import type { JobRunnerRow } from '../../../aggregator/job-records.ts';
import { statement } from '../../../infra/clickhouse/sql.ts';
import { type Reader, readRow, rowShape } from '../sql/read-rows.ts';
import { settingsOf } from '../sql/read-settings.ts';

export interface RunnerStore {
  /** Returns the latest term, or undefined when there has been none. */
  latest(): Promise<JobRunnerRow | undefined>;
}

const RunnerRow = rowShape('job_runner', {
  since: Type.Integer(),
  instance: Type.String(),
  host: Type.String(),
  seen_at: Type.Integer(),
});

/** A runner that has not reported for so long has missed two reports. Then no process runs jobs. */
export const silentAfterMs = 90_000;

export function createRunnerStore(clickhouse: Reader, { timeoutMs }: { readonly timeoutMs: number }): RunnerStore {
  return {
    async latest() {
      return await readRow(
        clickhouse,
        RunnerRow,
        statement`SELECT toUnixTimestamp64Milli(t.since) AS since, instance, host, toUnixTimestamp64Milli(t.seen_at) AS seen_at
         FROM (SELECT * FROM job_runner FINAL ORDER BY since DESC, instance DESC LIMIT 1) AS t ${settingsOf(1, timeoutMs)}`,
      );
    },
  };
}
