/**
 * Says what of the numbers of an answer waits for a restatement: late clicks, which it will add, and clicks of split ads,
 * which it may find to be invalid.
 */
import type { Progress } from '../../aggregator/ad-minute.ts';
import type { TimeRange } from '../time/time-range.ts';
import type { Queries } from './ad-counts.ts';
import { finalityOf } from './finality.ts';
import type { LateClicks } from './late-clicks.ts';
import type { SplitClicks, SplitReading } from './split-clicks.ts';

/** As it was before counts were read (`finality.ts`). */
export interface Pending {
  readonly late: LateClicks;
  readonly split: SplitClicks;
}

export interface PendingFields {
  readonly pending_late: number;
  readonly pending_split: number | null;
}

export interface PendingDeps {
  readonly queries: Pick<Queries, 'progress'>;
  readonly lateClicks: () => Promise<LateClicks>;
  readonly splitClicks: SplitReading;
}

/** Reads how far the counts are, and what waits of those that are final then. */
export async function readPending({
  queries,
  lateClicks,
  splitClicks,
}: PendingDeps): Promise<{ readonly progress: readonly Progress[]; readonly pending: Pending }> {
  const progressed = queries.progress();
  const [progress, late, split] = await Promise.all([
    progressed,
    lateClicks(),
    progressed.then(rows => splitClicks(finalityOf(rows).finalUntil)),
  ]);
  return { progress, pending: { late, split } };
}

/** Returns a function for the clicks of these ads (empty: of all ads) in a range. */
export function pendingOf({ late, split }: Pending, adIds: readonly string[]): (range: TimeRange) => PendingFields {
  const [lateIn, splitIn] = [late.of(adIds), split.of(adIds)];
  return range => ({ pending_late: lateIn(range), pending_split: splitIn(range) });
}
