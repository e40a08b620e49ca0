/** What topic `hot-ads` says, read to its end for each who asks: which ads are split, and over how many partitions. */
import type { PartitionRecord } from '../../ingest/hot-ads/partition-record.ts';
import { type PartitionRule, partitionsAt } from '../../ingest/hot-ads/partition-rule.ts';
import { type HotAdRule, isSplitBy, type RoutedClick, routeOf } from '../../ingest/hot-ads/rule.ts';

export interface Routing {
  /** All that hold, also those that are over but still kept. */
  readonly rules: readonly HotAdRule[];
  /** Empty: nothing is recorded yet. */
  readonly partitionRules: readonly PartitionRule[];
}

/** @throws Retryable where the log cannot be read to its end */
export async function routingOf(record: Pick<PartitionRecord, 'book' | 'readToEnd'>): Promise<Routing> {
  await record.readToEnd();
  return { rules: record.book.rules, partitionRules: record.book.partitionRules };
}

/** Where the click lies; null: it cannot be told. `unrecorded`: partitions, as far as nothing is recorded; 0: not known. */
export function placeOf(click: RoutedClick, { rules, partitionRules }: Routing, unrecorded: number): number | null {
  const partitions = partitionsAt(partitionRules, click.clickedAt) || unrecorded;
  return partitions > 0 ? routeOf(click, partitions, isSplitBy(rules)) : null;
}
