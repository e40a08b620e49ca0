/** Compares the recorded number of partitions with the topics, and adds partitions. */

import { openTopicPartitions } from '../../infra/kafka/topic-partitions.ts';
import { type GrowthDeps, growPartitions } from '../../ingest/hot-ads/grow-partitions.ts';
import { countedTopics, differenceOf, surplusOf } from '../../ingest/hot-ads/partition-comparison.ts';
import type { PartitionRecord } from '../../ingest/hot-ads/partition-record.ts';
import type { PartitionRule } from '../../ingest/hot-ads/partition-rule.ts';

export interface Partitions {
  /** @throws Retryable */
  read(): Promise<PartitionsNow>;
  /** @throws GrowthRefused, Retryable */
  grow(to: number): Promise<void>;
}

export interface PartitionsNow {
  /** The number of partitions of each topic, as the brokers report it. */
  readonly topics: readonly { readonly topic: string; readonly partitions: number }[];
  /** The rules that hold. */
  readonly rules: readonly PartitionRule[];
  /** Says which topics have fewer or more partitions than recorded, and what to do. Null when they agree. */
  readonly difference: string | null;
}

export function partitionsOver(deps: GrowthDeps & { readonly record: PartitionRecord }): Partitions {
  const { kafka, names, record } = deps;
  return {
    async read() {
      await record.readToEnd();
      await using open = openTopicPartitions(kafka, countedTopics.map(names.topic));
      const found = await open.counts();
      const counts = new Map(countedTopics.map(name => [name, found.get(names.topic(name)) ?? 0]));
      const recorded = record.book.partitions;
      return {
        topics: countedTopics.map(name => ({ topic: names.topic(name), partitions: counts.get(name) ?? 0 })),
        rules: record.book.partitionRules,
        difference: differenceOf(counts, recorded) ?? surplusOf(counts, recorded) ?? null,
      };
    },
    grow: to => growPartitions(to, deps),
  };
}
