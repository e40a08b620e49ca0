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
 * job runners compete for: its owner runs the jobs. Where records have keys, the last record of a key is kept forever.
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
  | 'write-offs';

const dayMs = 24 * 3_600_000;
const weekMs = 7 * dayMs;

/** As long as the tables keep what jobs have done. A record is a transaction's share of it, 256 KB, seldom more. */
const jobsKept = {
  'message.timestamp.type': 'LogAppendTime',
  'retention.ms': `${400 * dayMs}`,
  'max.message.bytes': `${8 << 20}`,
};

/** State: the last of each key, for ever. Whoever fills a table with it needs no record before that. */
const stateKept = {
  'message.timestamp.type': 'LogAppendTime',
  'cleanup.policy': 'compact',
  'segment.ms': `${dayMs}`,
  'min.cleanable.dirty.ratio': '0.1',
};

/** Settings of the broker's topics; times in ms. LogAppendTime makes the append time a fact of the log. */
export const topicSettings: Readonly<Record<TopicName, Readonly<Record<string, string>>>> = {
  clicks: { 'message.timestamp.type': 'LogAppendTime', 'retention.ms': `${weekMs}`, 'max.message.bytes': `${8 << 20}` },
  aggregates: {
    'message.timestamp.type': 'LogAppendTime',
    'retention.ms': `${weekMs}`,
    'max.message.bytes': `${8 << 20}`,
  },
  // A record of `clicks` may be one line that is no click, and as a JSON string it may grow sixfold.
  quarantine: {
    'message.timestamp.type': 'LogAppendTime',
    'retention.ms': `${weekMs}`,
    'max.message.bytes': `${64 << 20}`,
  },
  // Rules have keys of their own, so compaction drops only ticks and rules that were given up. A segment that is still
  // written to is not compacted: short ones keep few ticks.
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
};

/** Of the topics that are one log, however many partitions the others have. */
export const fixedPartitions: Readonly<Partial<Record<TopicName, number>>> = {
  'hot-ads': 1,
  'job-requests': 1,
  'job-results': 1,
  seals: 1,
  filters: 1,
  'write-offs': 1,
};

export const topicNames = Object.keys(topicSettings) as readonly TopicName[];

/** Every name another system sees, with the prefix that keeps several pipelines on one cluster apart. */
export function names(prefix: string) {
  return {
    topic: (name: TopicName) => `${prefix}${name}`,
    aggregatorGroup: `${prefix}aggregator`,
    rawSinkGroup: `${prefix}sink-raw`,
    /** A reader of `hot-ads` is alone in its group: each has to read all. */
    hotAdsGroup: (reader: string) => `${prefix}hot-ads-${reader}`,
    aggregateSinkGroup: `${prefix}sink-aggregates`,
    /** A sink's group, of one of several ClickHouse nodes: each node reads the topics for itself. */
    groupAt: (group: string, node: string | undefined) => (node === undefined ? group : `${group}-${node}`),
    resultSinkGroup: `${prefix}sink-results`,
    /** The transactional id of whoever runs the jobs, and the group whose member does. */
    jobRunner: `${prefix}job-runner`,
    /** One per input partition: whoever owns the partition fences its former owner. */
    transactionalId: (partition: number) => `${prefix}aggregator-${partition}`,
  };
}
export type Names = ReturnType<typeof names>;
