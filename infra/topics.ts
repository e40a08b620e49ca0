/**
 * The topics, in one table. Partition p of `aggregates` and `quarantine` is written only by the task that reads
 * partition p of `clicks`: so a transactional topic has one transactional writer per partition (which kafkajs'
 * read_committed filter needs), and `clicks`, written outside transactions, holds no control markers.
 */
export type TopicName = 'clicks' | 'aggregates' | 'quarantine';

const weekMs = 7 * 24 * 3_600_000;

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
};

export const topicNames = Object.keys(topicSettings) as readonly TopicName[];

/** Every name another system sees, with the prefix that keeps several pipelines on one cluster apart. */
export function names(prefix: string) {
  return {
    topic: (name: TopicName) => `${prefix}${name}`,
    aggregatorGroup: `${prefix}aggregator`,
    rawSinkGroup: `${prefix}sink-raw`,
    aggregateSinkGroup: `${prefix}sink-aggregates`,
    /** One per input partition: whoever owns the partition fences its former owner. */
    transactionalId: (partition: number) => `${prefix}aggregator-${partition}`,
  };
}
export type Names = ReturnType<typeof names>;
