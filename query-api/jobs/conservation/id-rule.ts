/**
 * Returns, from the progress of all partitions, the minutes in which ids are per ad. Today the identity of a click is
 * its ad and its event id. Formerly it was the event id alone, whatever the ad. A minute is recounted and reconciled by
 * the rule by which it was counted, so that a final number does not change with the rule (infra/decisions/019).
 */
import type { Progress } from '../../../aggregator/ad-minute.ts';

/**
 * Returns, by partition, the first minute (epoch ms) in which ids are per ad. Infinity means that there is none yet.
 */
export function idsPerAdFromOf(progress: readonly Progress[]): number[] {
  const from: number[] = [];
  for (const row of progress) from[row.partition] = row.ids_per_ad_from ?? Number.POSITIVE_INFINITY;
  // A partition without progress has counted nothing, so the former rule applies to none of its minutes.
  return Array.from(from, minute => minute ?? 0);
}

/** Returns the first minute in which ids are per ad in all partitions. */
export function idsPerAdEverywhereFrom(progress: readonly Progress[]): number {
  return Math.max(0, ...idsPerAdFromOf(progress));
}
