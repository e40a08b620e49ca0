/**
 * What an answer has to know before it reads counts (`finality.ts`, `stated-rows.ts`): progress, late clicks that wait, and
 * which recounts of its range are visible. Each has to be read before counts, in any order among themselves: so all are
 * read at the same time, and the answer waits for one of them instead of for three.
 */

import type { Queries } from '../store/ad-counts.ts';
import { type Finality, finalityOf } from '../store/finality.ts';
import type { LateClicks } from '../store/late-clicks.ts';
import type { Recounts, StatedReading } from '../store/sql/stated-rows.ts';
import type { TimeRange } from '../time/time-range.ts';

export interface KnownBefore {
  readonly finality: Finality;
  readonly late: LateClicks;
  readonly recounts: Recounts;
}

export interface ReadBefore {
  readonly queries: Pick<Queries, 'progress'>;
  readonly lateClicks: () => Promise<LateClicks>;
  readonly stated: StatedReading;
}

/** `range`: all that will be read. @throws Retryable */
export async function knownBefore({ queries, lateClicks, stated }: ReadBefore, range: TimeRange): Promise<KnownBefore> {
  const [progress, late, recounts] = await Promise.all([queries.progress(), lateClicks(), stated.recounts(range)]);
  return { finality: finalityOf(progress), late, recounts };
}
