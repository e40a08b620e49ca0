/** Jobs and the roll-up, put together: the loops that run for one term of office. */

import { readingAs } from '../../infra/clickhouse/clickhouse.ts';
import type { Logger } from '../../infra/log.ts';
import type { RawLog } from '../log/counted-log.ts';
import type { Routing } from '../log/hot-ad-rules.ts';
import type { JobLog } from '../log/job-log.ts';
import type { RequestLog } from '../log/request-log.ts';
import type { OpenReplicas } from '../replicas/open-replicas.ts';
import { turnsOn } from '../replicas/turns.ts';
import { createQueries } from '../store/ad-counts.ts';
import type { Job } from '../store/jobs/job.ts';
import { createJobStore } from '../store/jobs/job-store.ts';
import { createRecountQueries } from '../store/jobs/recount-rows.ts';
import { createReconciliation } from '../store/jobs/sql-recount.ts';
import type { JobsConfig } from './config.ts';
import { idsPerAdEverywhereFrom, idsPerAdFromOf } from './conservation/id-rule.ts';
import { runReconcile } from './reconcile/reconcile-job.ts';
import { createRawGate } from './recount/raw-gate.ts';
import { runRecount } from './recount/recount-job.ts';
import { createLateMinutes } from './restate/late-minutes.ts';
import { createLateQueue } from './restate/late-queue.ts';
import { createRollUpLoop } from './rollup/roll-up-loop.ts';
import { takeOverFormerRows } from './runner/former-rows.ts';
import { createJobLoop } from './runner/job-loop.ts';
import { createWorkFinder } from './runner/work-finder.ts';
import { createJobWriter } from './writing/job-writer.ts';

export interface JobsDeps {
  readonly config: Pick<JobsConfig, 'QUERY_TIMEOUT_MS' | 'RECONCILE_REPAIR'>;
  readonly store: Pick<OpenReplicas, 'replicas'> & {
    readonly nodes: readonly Pick<OpenReplicas['nodes'][number], 'name' | 'shard' | 'clickhouse'>[];
  };
  readonly jobLog: JobLog;
  readonly requests: RequestLog;
  readonly countedLog: RawLog & { routing?(): Promise<Pick<Routing, 'partitionRules'>> };
  readonly now: () => number;
  readonly log: Logger;
  /** Calls whenever something may have been asked for, until it is disposed of. Left out: nobody tells, and a job begins later. */
  readonly whenAsked?: (call: () => void) => AsyncDisposable;
  readonly pace?: Pace;
}

/** Left out: what suits traffic and operators. Tests have less time. */
interface Pace {
  /** How long a job has the runner for. */
  readonly turnMs?: number;
  /** How many raw clicks a recount reads at a time. */
  readonly pageRows?: number;
  /** Between two looks for what is due. */
  readonly scanMs?: number;
  /** A minute is due when no late click of it has come for so long. */
  readonly quietMs?: number;
  /** A difference is drift when it has lasted for so long. */
  readonly settleMs?: number;
}

/** Starts to run jobs, until it is disposed of. */
export function openJobs(deps: JobsDeps): AsyncDisposable {
  const { config, store: of, jobLog, requests, countedLog, now, log, whenAsked, pace = {} } = deps;
  const timeoutMs = config.QUERY_TIMEOUT_MS;
  const clickhouse = readingAs('jobs', of.replicas.clickhouse);
  const nodes = () => of.replicas.nodes().map(node => ({ clickhouse: readingAs('jobs', node.clickhouse) }));
  const store = {
    ...createJobStore(clickhouse, { timeoutMs, now }),
    ...createJobWriter(jobLog, clickhouse, undefined, nodes),
  };
  const { turnMs, pageRows, scanMs, quietMs, settleMs } = pace;
  const lateMinutes = createLateMinutes({
    clickhouse,
    now,
    timeoutMs: 20_000,
    ...(quietMs === undefined ? {} : { quietMs }),
  });
  const lateQueue = createLateQueue({ clickhouse, now, log });
  const queries = createRecountQueries(clickhouse);
  const { progress } = createQueries(clickhouse, { timeoutMs });
  const reconciliation = createReconciliation(clickhouse, async () => idsPerAdEverywhereFrom(await progress()));
  const idsPerAdFrom = async () => idsPerAdFromOf(await progress());
  const partitionRules = async () => (await countedLog.routing?.())?.partitionRules ?? [];
  const mayGoOn = (job: Job) => loop.mayGoOn(job);
  const recounting = {
    ...{ store, queries, now, partitionRules, idsPerAdFrom, mayGoOn },
    rawPositions: countedLog.rawPositions,
    ...(pageRows ? { pageRows } : {}),
  };
  // What one node has in raw another may lack.
  const gate = of.replicas.each(() => createRawGate(countedLog));
  const loop = createJobLoop({
    ...(turnMs === undefined ? {} : { turnMs }),
    store,
    reading: turnsOn({ replicas: of.replicas, countedLog }),
    gate: { passed: (open, progressed) => gate().passed(open, progressed) },
    progress,
    now,
    log,
    findWork: createWorkFinder({
      ...{ store, lateMinutes, lateQueue, repairs: config.RECONCILE_REPAIR, now, log },
      ...(scanMs === undefined ? {} : { scanMs }),
    }),
    begin: () => takeOverFormerRows({ clickhouse, jobLog, requests, log }),
    async run(job, partitions) {
      if (job.kind === 'reconcile')
        return await runReconcile(job, { store, reconciliation, lateMinutes, now, log, mayGoOn, settleMs });
      try {
        return await runRecount(job, partitions, recounting);
      } finally {
        // Also of what it has said before it failed.
        for (const rollUp of rollUps) rollUp.wake();
      }
    },
  });
  // Each node works them out of its own rows.
  const rollUps = of.nodes.map(({ name, shard, clickhouse: own }) =>
    createRollUpLoop({
      ...{ clickhouse: readingAs('jobs', own), now, log: log.child({ node: name }) },
      shard: { shard, of: of.replicas.shards },
    }),
  );
  loop.start();
  for (const rollUp of rollUps) rollUp.start();
  const asked = whenAsked?.(loop.wake);
  return {
    async [Symbol.asyncDispose]() {
      await Promise.all([loop, ...rollUps, ...(asked ? [asked] : [])].map(one => one[Symbol.asyncDispose]()));
    },
  };
}
