/** Puts jobs and the roll-up together: the loops that run during one term. */

import type { Progress } from '../../aggregator/ad-minute.ts';
import { type ClickHouse, readingAs } from '../../infra/clickhouse/clickhouse.ts';
import type { Logger } from '../../infra/log.ts';
import type { FollowedErasures } from '../../ingest/privacy/follow-erasures.ts';
import type { RawLog } from '../log/counted-log.ts';
import type { Routing } from '../log/hot-ad-rules.ts';
import type { JobLog } from '../log/job-log.ts';
import type { RequestLog } from '../log/request-log.ts';
import type { OpenReplicas } from '../replicas/open-replicas.ts';
import { turnsOn } from '../replicas/turns.ts';
import { createQueries } from '../store/ad-counts.ts';
import type { Job } from '../store/jobs/job.ts';
import { createJobStore, type JobStore } from '../store/jobs/job-store.ts';
import { createRecountQueries } from '../store/jobs/recount-rows.ts';
import { createHourComparison } from '../store/jobs/sql-hours.ts';
import { createInvalidComparison } from '../store/jobs/sql-invalid.ts';
import { createReconciliation } from '../store/jobs/sql-recount.ts';
import { createSplitClicks, type SplitReading } from '../store/split-clicks.ts';
import { noneSplit, type SplitRules } from '../store/split-minutes.ts';
import type { JobsConfig } from './config.ts';
import { idsPerAdEverywhereFrom, idsPerAdFromOf } from './conservation/id-rule.ts';
import { runReconcile } from './reconcile/reconcile-job.ts';
import { rememberSuspicions } from './reconcile/suspicions.ts';
import { erasuresMeanwhile } from './recount/erased-meanwhile.ts';
import { createRawGate } from './recount/raw-gate.ts';
import { runRecount } from './recount/recount-job.ts';
import { recountRulesOf } from './recount/rules-replay.ts';
import { createLateMinutes, type LateMinutes } from './restate/late-minutes.ts';
import { createLateQueue } from './restate/late-queue.ts';
import { createPendingMinutes } from './restate/pending-minutes.ts';
import { createRollUpLoop } from './rollup/roll-up-loop.ts';
import { takeOverFormerRows } from './runner/former-rows.ts';
import { createJobLoop, type JobLoop, type JobLoopDeps } from './runner/job-loop.ts';
import { createWorkFinder } from './runner/work-finder.ts';
import { createJobWriter, type JobWriter } from './writing/job-writer.ts';

export interface JobsDeps {
  readonly config: Pick<JobsConfig, 'QUERY_TIMEOUT_MS' | 'RECONCILE_REPAIR'>;
  readonly store: Pick<OpenReplicas, 'replicas'> & {
    readonly nodes: readonly Pick<OpenReplicas['nodes'][number], 'name' | 'shard' | 'clickhouse'>[];
  };
  readonly jobLog: JobLog;
  readonly requests: RequestLog;
  readonly countedLog: RawLog & {
    routing?(): Promise<Pick<Routing, 'partitionRules'> & Partial<Pick<Routing, 'versions'>>>;
  };
  /** Which ads are split, and which rules there are, as far as this process has heard. Left out: no ad is split. */
  readonly splitRules?: SplitRules;
  /** Who was erased. */
  readonly erasures: Pick<FollowedErasures, 'book' | 'readToEnd'>;
  readonly now: () => number;
  readonly log: Logger;
  /**
   * Calls back whenever somebody may have asked for a job, until it is disposed of. Without it, jobs that were asked
   * for begin later.
   */
  readonly whenAsked?: (call: () => void) => AsyncDisposable;
  readonly pace?: Pace;
}

/** The defaults suit traffic and operators. Tests set shorter times. */
interface Pace {
  /** The length of a job's turn. */
  readonly turnMs?: number;
  /** The number of raw clicks that a recount reads at a time. */
  readonly pageRows?: number;
  /** The time between two searches for what is due. */
  readonly scanMs?: number;
  /** A minute is due when it has got no further late click for this long. */
  readonly quietMs?: number;
  /** A difference is drift when it has lasted for this long. */
  readonly settleMs?: number;
}

/** Starts to run jobs, and continues until it is disposed of. */
export function openJobs(deps: JobsDeps): AsyncDisposable {
  const { store, log, whenAsked } = deps;
  // Each node works out its roll-up from its own rows.
  const rollUps = store.nodes.map(({ name, shard, clickhouse }) =>
    createRollUpLoop({
      ...{ clickhouse: readingAs('jobs', clickhouse), log: log.child({ node: name }) },
      shard: { shard, of: store.replicas.shards },
    }),
  );
  const loop = createLoop(deps, () => {
    for (const rollUp of rollUps) rollUp.wake();
  });
  loop.start();
  for (const rollUp of rollUps) rollUp.start();
  const asked = whenAsked?.(loop.wake);
  return {
    async [Symbol.asyncDispose]() {
      await Promise.all([loop, ...rollUps, ...(asked ? [asked] : [])].map(one => one[Symbol.asyncDispose]()));
    },
  };
}

function createLoop(deps: JobsDeps, onRecounted: () => void): JobLoop {
  const { config, store: of, jobLog, requests, countedLog, splitRules = noneSplit, now, log, pace = {} } = deps;
  const timeoutMs = config.QUERY_TIMEOUT_MS;
  const { turnMs, scanMs, quietMs } = pace;
  const clickhouse = readingAs('jobs', of.replicas.clickhouse);
  const nodes = () => of.replicas.nodes().map(node => ({ clickhouse: readingAs('jobs', node.clickhouse) }));
  const store: Store = {
    ...createJobStore(clickhouse, { timeoutMs, now }),
    ...createJobWriter(jobLog, clickhouse, undefined, nodes),
  };
  const lateMinutes = createLateMinutes({
    ...{ clickhouse, now, timeoutMs: 20_000 },
    ...(quietMs === undefined ? {} : { quietMs }),
  });
  const lateQueue = createLateQueue({ clickhouse, log });
  // What one node shows says nothing about another one.
  const splitOfNode = of.replicas.each(() => createSplitClicks({ clickhouse, splitRules, now, keepMs: 0 }));
  const splitClicks: SplitReading = finalUntil => splitOfNode()(finalUntil);
  const { progress } = createQueries(clickhouse, { timeoutMs });
  // Each node has a gate of its own, because one node may lack raw clicks that another has.
  const gate = of.replicas.each(() => createRawGate(countedLog));
  const mayGoOn = (job: Job) => loop.mayGoOn(job);
  const loop = createJobLoop({
    ...(turnMs === undefined ? {} : { turnMs }),
    ...{ store, progress, now, log },
    reading: turnsOn({ replicas: of.replicas, countedLog }),
    gate: { passed: (open, progressed) => gate().passed(open, progressed) },
    findWork: createWorkFinder({
      ...{ store, lateMinutes, lateQueue, repairs: config.RECONCILE_REPAIR, now, log },
      splitClicks,
      ...(scanMs === undefined ? {} : { scanMs }),
    }),
    begin: () => takeOverFormerRows({ clickhouse, jobLog, requests, log }),
    run: createRun(deps, {
      clickhouse,
      shards: of.replicas.shards,
      store,
      lateMinutes,
      splitClicks,
      progress,
      mayGoOn,
      onRecounted,
      nodes,
    }),
  });
  return loop;
}

type Store = JobStore & JobWriter;

interface RunParts {
  readonly clickhouse: ClickHouse;
  readonly shards: number;
  readonly store: Store;
  readonly lateMinutes: LateMinutes;
  readonly splitClicks: SplitReading;
  readonly progress: () => Promise<readonly Progress[]>;
  readonly mayGoOn: (job: Job) => Promise<boolean>;
  /** Is called after each turn of a replay or restatement. */
  readonly onRecounted: () => void;
  /** Those that the turn reads. */
  readonly nodes: () => readonly { readonly clickhouse: ClickHouse }[];
}

/** Returns what runs one turn of a job. */
function createRun({ countedLog, erasures, now, log, pace = {} }: JobsDeps, parts: RunParts): JobLoopDeps['run'] {
  const { clickhouse, shards, store, lateMinutes, splitClicks, progress, mayGoOn, onRecounted, nodes } = parts;
  const { pageRows, settleMs } = pace;
  const idsPerAdFrom = async () => idsPerAdEverywhereFrom(await progress());
  const versions = async () => (await countedLog.routing?.())?.versions ?? [];
  const reconciliation = createReconciliation(clickhouse, idsPerAdFrom);
  const hours = createHourComparison({ clickhouse, shards });
  const invalid = createInvalidComparison({
    ...{ clickhouse, idsPerAdFrom },
    rules: async () => {
      const known = await versions();
      return version => known.find(each => each.version === version);
    },
  });
  const pending = createPendingMinutes(lateMinutes, splitClicks);
  const comparing = { store, reconciliation, hours, invalid, pending, firstSeen: rememberSuspicions() };
  const recounting = {
    ...{ store, now, mayGoOn },
    queries: createRecountQueries(clickhouse),
    partitionRules: async () => (await countedLog.routing?.())?.partitionRules ?? [],
    rules: async (job: Job) => recountRulesOf(job, await versions()),
    idsPerAdFrom: async () => idsPerAdFromOf(await progress()),
    rawPositions: countedLog.rawPositions,
    erasures: erasuresMeanwhile(erasures, nodes),
    ...(pageRows ? { pageRows } : {}),
  };
  return async (job, partitions) => {
    if (job.kind === 'reconcile') return await runReconcile(job, { ...comparing, now, log, mayGoOn, settleMs });
    try {
      return await runRecount(job, partitions, recounting);
    } finally {
      // A recount that fails may have written changes before.
      onRecounted();
    }
  };
}
