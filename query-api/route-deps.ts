/** What the routes work with. */
import type { TopicName } from '../infra/topics.ts';
import type { AuditQueries } from './audit-queries.ts';
import type { JobStore } from './jobs/job-store.ts';
import type { Queries } from './queries.ts';
import type { RestatementQueries } from './restatement-queries.ts';
import type { RangeRules } from './time-range.ts';

/** The log that is being counted, and how far the store follows it. */
export interface Pipeline {
  /** Last stable offset of each partition of topic `clicks`. */
  endOffsets(): Promise<ReadonlyMap<number, number>>;
  /** Of all that the sinks read, by group, topic and partition. */
  sinkPositions(): Promise<readonly SinkPosition[]>;
}

export interface SinkPosition {
  readonly group: string;
  readonly topic: string;
  /** The topic's name without the prefix of this pipeline. */
  readonly topicName: TopicName;
  readonly partition: number;
  /** The committed offset: all before is in ClickHouse. Where there is none yet, the beginning of the log. */
  readonly position: number;
  /** The last stable offset. Asked for before `position`, so that a lag is never less than nothing. */
  readonly end: number;
}

/** The last comparison of the rows in ClickHouse with the counters. */
export interface RowsChecked {
  /** When something was known of every partition, epoch ms; undefined: not yet. */
  readonly checkedAt: number | undefined;
  readonly differences: readonly {
    readonly partition: number;
    readonly outcome: 'received' | 'counted' | 'duplicates' | 'quarantined';
    readonly expected: number;
    readonly found: number;
    readonly difference: number;
  }[];
}

export interface RouteDeps {
  readonly queries: Queries;
  readonly restatements: RestatementQueries;
  readonly audit: AuditQueries;
  readonly jobs: JobStore;
  readonly pipeline: Pipeline;
  /** Undefined where this process has made none. */
  readonly rowsChecked: () => RowsChecked | undefined;
  /** Epoch ms. */
  readonly now: () => number;
  readonly rules: () => RangeRules;
}
