/** What the routes work with. */
import type { ClientSlots } from '../infra/client-slots.ts';
import type { Clients } from '../infra/http-clients.ts';
import type { AuditQueries } from './audit-queries.ts';
import type { Pipeline } from './counted-log.ts';
import type { ExportQueries } from './exports/export-queries.ts';
import type { ExportSlots } from './exports/export-slots.ts';
import type { FilterStore } from './filters/filter-store.ts';
import type { GroupQueries } from './group-queries.ts';
import type { Routing } from './hot-ad-rules.ts';
import type { AskedJobs } from './jobs/asked-jobs.ts';
import type { ConservationStore } from './jobs/conservation-store.ts';
import type { JobRequests } from './jobs/job-requests.ts';
import type { JobStore } from './jobs/job-store.ts';
import type { RunnerStore } from './jobs/runner-store.ts';
import type { LateClicks } from './late-clicks.ts';
import type { LiveFeed } from './live/live-feed.ts';
import type { LogEnds } from './log-ends.ts';
import type { Partitions } from './partitions.ts';
import type { QuarantineQueries } from './quarantine-queries.ts';
import type { Queries } from './queries.ts';
import type { RawCoverage } from './raw-coverage.ts';
import type { RawQueries } from './raw-queries.ts';
import type { StoreNodes } from './replicas/nodes-status.ts';
import type { ReplicaCheckStore } from './replicas/replica-check-store.ts';
import type { Replicas } from './replicas/replicas.ts';
import type { RestatementQueries } from './restatement-queries.ts';
import type { HistoryQueries } from './rollup/history-queries.ts';
import type { TopQueries } from './rollup/top-queries.ts';
import type { StallWatch } from './stalled-partitions.ts';
import type { StatedReading } from './stated-rows.ts';
import type { RangeRules } from './time-range.ts';

export interface RouteDeps {
  readonly replicas: Replicas;
  /** Of ClickHouse. */
  readonly nodes: StoreNodes;
  readonly nodePositions: Pipeline['nodePositions'];
  readonly queries: Queries;
  /** Called with each progress that is read of the pipeline's state. */
  readonly stalls: StallWatch;
  readonly stated: StatedReading;
  /** Read before counts. */
  readonly lateClicks: () => Promise<LateClicks>;
  readonly groups: GroupQueries;
  readonly raw: RawQueries;
  readonly rawCoverage: Pick<RawCoverage, 'until'>;
  readonly filters: FilterStore;
  readonly tops: TopQueries;
  readonly history: HistoryQueries;
  readonly exports: ExportQueries;
  readonly exportSlots: ExportSlots;
  /** Of one client; before those of all. */
  readonly exportsOf: ClientSlots;
  readonly exportMaxRows: number;
  readonly exportMinBytesPerSecond: number;
  readonly quarantine: QuarantineQueries;
  readonly restatements: RestatementQueries;
  readonly audit: AuditQueries;
  readonly jobs: JobStore;
  readonly askedJobs: AskedJobs;
  readonly conservation: ConservationStore;
  readonly replicaChecks: ReplicaCheckStore;
  readonly runners: RunnerStore;
  readonly jobRequests: Pick<JobRequests, 'cancel'>;
  readonly clients: Clients;
  readonly live: LiveFeed;
  /** Of one client; before those of all. */
  readonly listenersOf: ClientSlots;
  readonly logEnds: LogEnds;
  /** Which ads are split, over how many partitions; undefined: Kafka does not answer. */
  readonly routing: () => Promise<Routing | undefined>;
  readonly partitions: Partitions;
  /** Epoch ms. */
  readonly now: () => number;
  readonly rules: () => RangeRules;
  readonly wait: (ms: number) => Promise<unknown>;
}
