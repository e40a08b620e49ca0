/**
 * Lists the topics in one table. Everything in ClickHouse came from one of them through a sink.
 *
 * Partition p of `aggregates` and `quarantine` is written only by the task that reads partition p of `clicks`. So a
 * transactional topic has one transactional writer per partition, which kafkajs' read_committed filter needs. `clicks`
 * is written outside transactions and holds no control markers. `hot-ads` says over how many partitions clicks are
 * spread, and which ads are split over them (ingest/hot-ads/). Every process reads it from its beginning.
 *
 * `job-results` and `seals` are written only by the process that runs the jobs, in its transactions. What people ask
 * for cannot be there, because it has many writers: jobs and their cancellations are in `job-requests`, filters in
 * `filters`, and differences that were written off in `write-offs`. The partition of `job-requests` is also what the
 * job runners compete for: its owner runs the jobs. `keys` has the API keys (infra/keys/key-record.ts), and ingest and
 * query API read it from its beginning. By `quota-members` they know how many of them share the quotas of those keys
 * (infra/quotas/). `audit` says who has asked for what (infra/audit/audit-record.ts). `erasures` says which persons are
 * erased from all tables (ingest/privacy/erasure-record.ts); sinks and query APIs read it from its beginning. Where
 * records have keys, the last record of a key is kept forever, except in `erasures`.
 */
export type TopicName =
  | 'clicks'
  | 'aggregates'
  | 'quarantine'
  | 'hot-ads'
  | 'job-requests'
  | 'job-results'
  | 'seals'
  | 'filters'
  | 'write-offs'
  | 'keys'
  | 'quota-members'
  | 'audit'
  | 'erasures';

const dayMs = 24 * 3_600_000;
const weekMs = 7 * dayMs;
/** Seven years. infra/clickhouse/026_audit_record.sql has the same number. */
const auditKeptDays = 2_557;

/**
 * Kept for as long as the tables keep the results of jobs. A record is a part of a transaction, seldom more than 256
 * KB.
 */
const jobsKept = {
  'message.timestamp.type': 'LogAppendTime',
  'retention.ms': `${400 * dayMs}`,
  'max.message.bytes': `${8 << 20}`,
};

/**
 * State, of which the last record of each key is kept forever. To fill a table with it, no earlier record is needed.
 */
const stateKept = {
  'message.timestamp.type': 'LogAppendTime',
  'cleanup.policy': 'compact',
  'segment.ms': `${dayMs}`,
  'min.cleanable.dirty.ratio': '0.1',
};

/**
 * Kept for seven years, for as long as table `audit_record`. It is not compacted: nothing of it is ever replaced.
 */
const auditKept = {
  'message.timestamp.type': 'LogAppendTime',
  'retention.ms': `${auditKeptDays * dayMs}`,
};

/**
 * Kept for a week longer than raw clicks and quarantined lines, of which backups may bring back what was erased. Then
 * there is nothing left that a record could find, and the list of those who were erased ends too.
 */
const erasuresKept = {
  'message.timestamp.type': 'LogAppendTime',
  'retention.ms': `${42 * dayMs}`,
  'segment.ms': `${dayMs}`,
  'max.message.bytes': `${8 << 20}`,
};

/** The settings of the topics, with times in ms. LogAppendTime makes the append time a fact of the log. */
export const topicSettings: Readonly<Record<TopicName, Readonly<Record<string, string>>>> = {
  // Only whole segments expire, so a segment's time is added to the retention: what is erased must not stay for long.
  clicks: {
    'message.timestamp.type': 'LogAppendTime',
    'retention.ms': `${weekMs}`,
    'segment.ms': `${dayMs}`,
    'max.message.bytes': `${8 << 20}`,
  },
  aggregates: {
    'message.timestamp.type': 'LogAppendTime',
    'retention.ms': `${weekMs}`,
    'max.message.bytes': `${8 << 20}`,
  },
  // A record of `clicks` may be a single line that is not a click, and it may grow sixfold as a JSON string.
  quarantine: {
    'message.timestamp.type': 'LogAppendTime',
    'retention.ms': `${weekMs}`,
    'segment.ms': `${dayMs}`,
    'max.message.bytes': `${64 << 20}`,
  },
  // Rules have keys of their own, so compaction removes only ticks and rules that were given up. A segment that is
  // still being written is not compacted, so short segments keep few ticks.
  'hot-ads': {
    'message.timestamp.type': 'LogAppendTime',
    'cleanup.policy': 'compact',
    'segment.ms': `${10 * 60_000}`,
    'min.cleanable.dirty.ratio': '0.1',
    'delete.retention.ms': `${dayMs}`,
  },
  'job-requests': jobsKept,
  'job-results': jobsKept,
  seals: stateKept,
  filters: stateKept,
  'write-offs': stateKept,
  keys: stateKept,
  // What is older than some seconds says nothing, and every reader begins at the first record.
  'quota-members': {
    'message.timestamp.type': 'LogAppendTime',
    'retention.ms': `${10 * 60_000}`,
    'segment.ms': `${10 * 60_000}`,
  },
  audit: auditKept,
  erasures: erasuresKept,
};

/** The topics that are a single log, however many partitions the others have. */
export const fixedPartitions: Readonly<Partial<Record<TopicName, number>>> = {
  'hot-ads': 1,
  'job-requests': 1,
  'job-results': 1,
  seals: 1,
  filters: 1,
  'write-offs': 1,
  keys: 1,
  'quota-members': 1,
  audit: 1,
  erasures: 1,
};

export const topicNames = Object.keys(topicSettings) as readonly TopicName[];

/** Returns every name that another system sees, with the prefix that separates several pipelines on one cluster. */
export function names(prefix: string) {
  return {
    topic: (name: TopicName) => `${prefix}${name}`,
    aggregatorGroup: `${prefix}aggregator`,
    rawSinkGroup: `${prefix}sink-raw`,
    /** Each reader of `hot-ads` has a group of its own, because each must read everything. */
    hotAdsGroup: (reader: string) => `${prefix}hot-ads-${reader}`,
    /** The same of `keys`. */
    keysGroup: (reader: string) => `${prefix}keys-${reader}`,
    quotasGroup: (reader: string) => `${prefix}quotas-${reader}`,
    erasuresGroup: (reader: string) => `${prefix}erasures-${reader}`,
    aggregateSinkGroup: `${prefix}sink-aggregates`,
    /** The group of a sink for one of several ClickHouse nodes. Each node reads the topics by itself. */
    groupAt: (group: string, node: string | undefined) => (node === undefined ? group : `${group}-${node}`),
    resultSinkGroup: `${prefix}sink-results`,
    /** The transactional id of the process that runs the jobs, and the group of which it is a member. */
    jobRunner: `${prefix}job-runner`,
    /** There is one id per input partition, so the owner of a partition fences its former owner. */
    transactionalId: (partition: number) => `${prefix}aggregator-${partition}`,
  };
}
export type Names = ReturnType<typeof names>;
