/**
 * The topics, in one table. Partition p of `aggregates` and `quarantine` is written only by the task that reads
 * partition p of `clicks`: so a transactional topic has one transactional writer per partition (which kafkajs'
 * read_committed filter needs), and `clicks`, written outside transactions, holds no control markers. `hot-ads` says over
 * how many partitions clicks are spread, and which ads are split over them (ingest/hot-ads/); every process reads it from
 * its beginning.
 */
export type TopicName = 'clicks' | 'aggregates' | 'quarantine' | 'hot-ads' | 'job-requests' | 'job-results';

const dayMs = 24 * 3_600_000;
const weekMs = 7 * dayMs;
/** As long as the tables keep what came from there. */
const tablesMs = 400 * dayMs;

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
  'job-requests': { 'message.timestamp.type': 'LogAppendTime', 'retention.ms': `${tablesMs}` },
  'job-results': {
    'message.timestamp.type': 'LogAppendTime',
    'retention.ms': `${tablesMs}`,
    'max.message.bytes': `${8 << 20}`,
  },
};

/** Of the topics that are one log, however many partitions the others have. */
export const fixedPartitions: Readonly<Partial<Record<TopicName, number>>> = {
  'hot-ads': 1,
  'job-requests': 1,
  'job-results': 1,
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
    /** One per input partition: whoever owns the partition fences its former owner. */
    transactionalId: (partition: number) => `${prefix}aggregator-${partition}`,
    /** Whose member that has the one partition of `job-requests` runs the jobs. */
    jobRunnerGroup: `${prefix}job-runner`,
    /** Whoever opens it fences all earlier job runners. */
    jobRunnerId: `${prefix}job-runner`,
  };
}
export type Names = ReturnType<typeof names>;
