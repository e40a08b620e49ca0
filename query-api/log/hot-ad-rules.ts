/** Reads from topic `hot-ads` which ads are split, and over how many partitions. Each question reads it to its end. */
import type { PartitionRecord } from '../../ingest/hot-ads/partition-record.ts';
import { type PartitionRule, partitionsAt } from '../../ingest/hot-ads/partition-rule.ts';
import { type HotAdRule, isSplitBy, type RoutedClick, routeOf } from '../../ingest/hot-ads/rule.ts';
import type { RulesVersion } from '../../ingest/validity/rule-set.ts';

export interface Routing {
  /** All rules that hold, and rules that have ended but are still kept. */
  readonly rules: readonly HotAdRule[];
  /** Empty when nothing is recorded yet. */
  readonly partitionRules: readonly PartitionRule[];
  /** All versions of the rules of invalid traffic, also drafts. */
  readonly versions: readonly RulesVersion[];
}

/** @throws Retryable when the log cannot be read to its end */
export async function routingOf(record: Pick<PartitionRecord, 'book' | 'readToEnd'>): Promise<Routing> {
  await record.readToEnd();
  return { rules: record.book.rules, partitionRules: record.book.partitionRules, versions: record.book.versions };
}

/**
 * Returns the partition of the click, or null when it is not known. `unrecorded` is the number of partitions at times
 * for which nothing is recorded, or 0 when it is not known.
 */
export function placeOf(click: RoutedClick, { rules, partitionRules }: Routing, unrecorded: number): number | null {
  const partitions = partitionsAt(partitionRules, click.clickedAt) || unrecorded;
  return partitions > 0 ? routeOf(click, partitions, isSplitBy(rules)) : null;
}
