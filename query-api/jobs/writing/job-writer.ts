/** Saves jobs with their results, and waits until ClickHouse shows what was saved. */

import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import type { JobEntry, JobLog } from '../../log/job-log.ts';
import { type Patience, untilVisible } from '../../log/until-visible.ts';
import type { Job } from '../../store/jobs/job.ts';
import { jobRowOf, newestSeq } from '../../store/jobs/job-store.ts';

export interface JobWriter {
  /**
   * Writes `said` and then the job in one transaction. They become visible together, in this order, or never. @throws
   * Fenced
   */
  save(job: Job, said?: readonly JobEntry[]): Promise<void>;
  /**
   * Resolves once ClickHouse shows everything that was saved here. It waits for the job that was saved last. That is
   * enough, because a sink inserts in the order of the log (aggregator/job-records.ts). @throws Retryable
   */
  caughtUp(): Promise<void>;
}

export function createJobWriter(
  log: JobLog,
  clickhouse: Pick<ClickHouse, 'query'>,
  patience = sinkPatience,
  nodes: () => readonly { readonly clickhouse: Pick<ClickHouse, 'query'> }[] = () => [{ clickhouse }],
): JobWriter {
  let last: Pick<Job, 'id' | 'seq'> | undefined;
  return {
    async save(job, said = []) {
      await log.write([...said, { kind: 'job', rows: [jobRowOf(job)] }]);
      last = job;
    },
    async caughtUp() {
      if (last === undefined) return;
      const { id, seq } = last;
      await untilVisible(`job ${id}`, patience, async () => {
        // Each shard has a sink of its own, so the node of one shard says nothing about the rows of another.
        const newest = await Promise.all(nodes().map(node => newestSeq(node.clickhouse, id)));
        return newest.every(shown => shown >= seq);
      });
      if (last?.id === id && last.seq === seq) last = undefined;
    },
  };
}

/** A sink that is restarted is normally back within this time. */
const sinkPatience: Patience = { withinMs: 20_000 };
