/** All questions to the store. A route names the questions that it needs (`Pick<Store, …>`). */
import { type ClickHouse, readingAs } from '../../infra/clickhouse/clickhouse.ts';
import type { CountedLog } from '../log/counted-log.ts';
import type { RequestLog } from '../log/request-log.ts';
import { createQueries } from './ad-counts.ts';
import { createAuditRecords } from './audit-records.ts';
import { createCellQueries } from './cell-clicks.ts';
import { createAuditQueries } from './click-copies.ts';
import { createExportQueries } from './exports.ts';
import { createFilterStore } from './filters/filter-store.ts';
import { createGroupQueries } from './group-counts.ts';
import { createConservationStore } from './jobs/conservation-store.ts';
import { createJobStore } from './jobs/job-store.ts';
import { createRunnerStore } from './jobs/runner-store.ts';
import { createLateClicks } from './late-clicks.ts';
import { createPersonRows } from './person-rows.ts';
import { createQuarantineQueries } from './quarantine.ts';
import { createRawQueries } from './raw-counts.ts';
import { createRawCoverage } from './raw-coverage.ts';
import { createReplicaCheckStore } from './replicas/replica-check-store.ts';
import { createRestatementQueries } from './restatements.ts';
import { createBlockDirectory } from './rollup/block-directory.ts';
import { createHistoryQueries } from './rollup/history.ts';
import { createTopQueries } from './rollup/top-lists.ts';
import { createSplitClicks } from './split-clicks.ts';
import type { SplitRules } from './split-minutes.ts';
import { createStatedReading, type StatedReadingOptions } from './sql/stated-rows.ts';

export interface StoreOptions {
  readonly clickhouse: ClickHouse;
  /** Keeps a value for each choice of ClickHouse nodes (replicas.ts), for what is remembered from one read to the next. */
  readonly each: <T>(make: () => T) => () => T;
  readonly nodes: NonNullable<StatedReadingOptions['nodes']>;
  readonly shards: number;
  /** The limit for one statement. */
  readonly timeoutMs: number;
  readonly exportTimeoutMs: number;
  readonly sinkPositions: CountedLog['sinkPositions'];
  /** Changes of stored filters are written into the log. */
  readonly requests: RequestLog;
  /** Which ads are split, and which versions of rules there are, as far as this process has heard. */
  readonly splitRules: SplitRules;
  /** Epoch ms. */
  readonly now: () => number;
}

export type Store = ReturnType<typeof openStore>;

export function openStore(options: StoreOptions) {
  const { clickhouse, each, nodes, shards, timeoutMs, exportTimeoutMs, sinkPositions, requests, splitRules, now } =
    options;
  const ofRaw = readingAs('raw', clickhouse);
  const queries = createQueries(clickhouse, { timeoutMs });
  const coverage = each(() => createRawCoverage({ progress: queries.progress, sinkPositions }));
  const lateClicksOf = each(() => createLateClicks({ clickhouse, now }));
  const splitClicksOf = each(() => createSplitClicks({ clickhouse, splitRules, now }));
  const directory = createBlockDirectory(clickhouse, { timeoutMs, shards });
  return {
    queries: { ...queries, progress: () => coverage().keeping(queries.progress)() },
    groups: createGroupQueries(clickhouse, { timeoutMs, shards }),
    restatements: createRestatementQueries(clickhouse, { timeoutMs }),
    stated: createStatedReading(clickhouse, { timeoutMs, nodes }),
    /** Late clicks that wait for a restatement. Must be read before counts. */
    lateClicks: async () => await lateClicksOf()(),
    /** Clicks of split ads that wait for one. Must be read after progress and before counts. */
    splitClicks: async (finalUntil: number | null) => await splitClicksOf()(finalUntil),
    raw: createRawQueries(ofRaw, { timeoutMs }),
    rawCoverage: { until: () => coverage().until() },
    filters: createFilterStore(clickhouse, { timeoutMs, requests }),
    tops: createTopQueries(clickhouse, directory, { timeoutMs }),
    history: createHistoryQueries(clickhouse, { timeoutMs, shards }),
    exports: createExportQueries(ofRaw, { timeoutMs, exportTimeoutMs }),
    personRows: createPersonRows(ofRaw, { exportTimeoutMs }),
    quarantine: createQuarantineQueries(ofRaw, { timeoutMs, now }),
    audit: createAuditQueries(ofRaw, { timeoutMs }),
    cells: createCellQueries(ofRaw, { timeoutMs }),
    auditRecords: createAuditRecords(clickhouse, { timeoutMs }),
    jobs: createJobStore(clickhouse, { timeoutMs, now }),
    conservation: createConservationStore(clickhouse, { timeoutMs }),
    replicaChecks: createReplicaCheckStore(clickhouse, { timeoutMs }),
    runners: createRunnerStore(clickhouse, { timeoutMs }),
  };
}
