/** How the job runner in office writes, and sees to it that it reads what it has written. */

import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import type { JobEntry, JobLog } from '../../log/job-log.ts';
import { type Patience, untilVisible } from '../../log/until-visible.ts';
import type { Job } from '../../store/jobs/job.ts';
import { jobRowOf, newestSeq } from '../../store/jobs/job-store.ts';

export interface JobWriter {
  /** The job as it stands now, and what it says besides: visible together, in this order, or never. @throws Fenced */
  save(job: Job, said?: readonly JobEntry[]): Promise<void>;
  /**
   * Resolves once ClickHouse shows all that was saved here. The row of the job that was saved last is enough: it stands behind
   * everything else, and a sink inserts in the order of the log (aggregator/job-records.ts).
   * @throws Retryable
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
        // What one shard's node shows says nothing of the rows of another's.
        const newest = await Promise.all(nodes().map(node => newestSeq(node.clickhouse, id)));
        return newest.every(shown => shown >= seq);
      });
      if (last?.id === id && last.seq === seq) last = undefined;
    },
  };
}

/** As long as a sink may need to come back. */
const sinkPatience: Patience = { withinMs: 20_000 };
