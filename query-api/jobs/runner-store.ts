/** Table `job_runner`: who runs the jobs, and when that was last heard of. */
import type { ClickHouse } from '../../infra/clickhouse.ts';
import { settingsOf } from '../read-settings.ts';

/** A term of office. Times in epoch ms. */
export interface JobRunner {
  readonly since: number;
  readonly instance: string;
  /** It has said then that it is there. */
  readonly seenAt: number;
}

export interface RunnerStore {
  /** The latest term; undefined where there has been none. */
  latest(): Promise<JobRunner | undefined>;
}

/** Longer than two of its renewals may take: then nobody runs jobs. */
export const silentAfterMs = 90_000;

export function createRunnerStore(clickhouse: ClickHouse, { timeoutMs }: { readonly timeoutMs: number }): RunnerStore {
  return {
    async latest() {
      const [row] = await clickhouse.query<JobRunner>(
        `SELECT toUnixTimestamp64Milli(since) AS since, instance, toUnixTimestamp64Milli(seen_at) AS seenAt
         FROM (SELECT * FROM job_runner FINAL ORDER BY since DESC, instance DESC LIMIT 1) ${settingsOf(1, timeoutMs)}`,
      );
      return row;
    },
  };
}
