/** Table `job_runner`: who runs the jobs, and when that was last heard of. */
import type { JobRunnerRow } from '../../../aggregator/job-records.ts';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { statement } from '../../../infra/clickhouse/sql.ts';
import { settingsOf } from '../sql/read-settings.ts';

export interface RunnerStore {
  /** The latest term; undefined where there has been none. */
  latest(): Promise<JobRunnerRow | undefined>;
}

/** Longer than two of its renewals may take: then nobody runs jobs. */
export const silentAfterMs = 90_000;

export function createRunnerStore(
  clickhouse: Pick<ClickHouse, 'query'>,
  { timeoutMs }: { readonly timeoutMs: number },
): RunnerStore {
  return {
    async latest() {
      const [row] = await clickhouse.query<JobRunnerRow>(
        ...statement`SELECT toUnixTimestamp64Milli(t.since) AS since, instance, host, toUnixTimestamp64Milli(t.seen_at) AS seen_at
         FROM (SELECT * FROM job_runner FINAL ORDER BY since DESC, instance DESC LIMIT 1) AS t ${settingsOf(1, timeoutMs)}`,
      );
      return row;
    },
  };
}
