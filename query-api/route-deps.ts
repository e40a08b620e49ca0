/** What the routes work with. */
import type { AuditQueries } from './audit-queries.ts';
import type { JobStore } from './jobs/job-store.ts';
import type { Queries } from './queries.ts';
import type { RestatementQueries } from './restatement-queries.ts';
import type { RangeRules } from './time-range.ts';

/** The log that is being counted. */
export interface Pipeline {
  /** End offset of each partition of topic `clicks`. */
  endOffsets(): Promise<Map<number, number>>;
}

export interface RouteDeps {
  readonly queries: Queries;
  readonly restatements: RestatementQueries;
  readonly audit: AuditQueries;
  readonly jobs: JobStore;
  readonly pipeline: Pipeline;
  /** Epoch ms. */
  readonly now: () => number;
  readonly rules: () => RangeRules;
}
