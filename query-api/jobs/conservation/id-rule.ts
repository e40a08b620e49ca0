/**
 * By which rule which minutes were counted, from the progress of all partitions. Since the rule has changed, a click is
 * its ad and its event id; before, it was its event id, whatever the ad. A minute is recounted and reconciled by the rule
 * it was counted by: a final number does not change because the rule did (infra/decisions/019).
 */
import type { Progress } from '../../../aggregator/ad-minute.ts';

/** By partition: the minute (epoch ms) from which on ids are per ad. Infinity: there is none yet. */
export function idsPerAdFromOf(progress: readonly Progress[]): number[] {
  const from: number[] = [];
  for (const row of progress) from[row.partition] = row.ids_per_ad_from ?? Number.POSITIVE_INFINITY;
  // One that has not told anything has counted nothing.
  return Array.from(from, minute => minute ?? 0);
}

/** The minute from which on they are so in all partitions. */
export function idsPerAdEverywhereFrom(progress: readonly Progress[]): number {
  return Math.max(0, ...idsPerAdFromOf(progress));
}
