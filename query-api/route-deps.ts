/** What the routes work with. */
import type { ClientSlots } from '../infra/client-slots.ts';
import type { Clients } from '../infra/http-clients.ts';
import type { StoreNodes } from './answers/nodes-status.ts';
import type { StallWatch } from './answers/stalled-partitions.ts';
import type { RangeRules } from './http/asked-range.ts';
import type { Pipeline } from './log/counted-log.ts';
import type { Routing } from './log/hot-ad-rules.ts';
import type { LogEnds } from './log/log-ends.ts';
import type { Partitions } from './log/partitions.ts';
import type { Replicas } from './replicas/replicas.ts';
import type { ExportSlots } from './routes/exports/export-slots.ts';
import type { AskedJobs } from './routes/jobs/asked-jobs.ts';
import type { JobRequests } from './routes/jobs/job-requests.ts';
import type { LiveFeed } from './routes/live/live-feed.ts';
import type { Queries } from './store/ad-counts.ts';
import type { AuditQueries } from './store/click-copies.ts';
import type { ExportQueries } from './store/exports.ts';
import type { FilterStore } from './store/filters/filter-store.ts';
import type { GroupQueries } from './store/group-counts.ts';
import type { ConservationStore } from './store/jobs/conservation-store.ts';
import type { JobStore } from './store/jobs/job-store.ts';
import type { RunnerStore } from './store/jobs/runner-store.ts';
import type { LateClicks } from './store/late-clicks.ts';
import type { QuarantineQueries } from './store/quarantine.ts';
import type { RawQueries } from './store/raw-counts.ts';
import type { RawCoverage } from './store/raw-coverage.ts';
import type { ReplicaCheckStore } from './store/replicas/replica-check-store.ts';
import type { RestatementQueries } from './store/restatements.ts';
import type { HistoryQueries } from './store/rollup/history.ts';
import type { TopQueries } from './store/rollup/top-lists.ts';
import type { StatedReading } from './store/sql/stated-rows.ts';

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
