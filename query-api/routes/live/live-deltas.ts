/** Pure: compares readings, to find how fast clicks are counted and which restatements are new. */
import { isoOf } from '../../http/parameters.ts';
import type { TimedRestatement } from '../../store/restatements.ts';
import type { LiveChange, LiveEvent } from './live-event.ts';

export interface LiveDeltas {
  /** Returns the clicks per second over the last readings. `at` is in epoch ms, `counted` are all clicks so far. */
  rate(at: number, counted: number): number;
  /** Returns how many clicks these minutes have gained since the first reading, which stands for a total. */
  seen(minutes: readonly Pick<LiveEvent['minutes'][number], 'start' | 'count'>[]): number;
  /** Returns the restatements that were in no earlier reading. */
  fresh(restatements: readonly TimedRestatement[]): LiveChange[];
}

/** Commits come every half second. Over this time the rate looks even. */
const rateOverMs = 5_500;

/** How many restatements are remembered. It is more than one reading can have. */
const seenKept = 1_000;

export function createLiveDeltas(): LiveDeltas {
  let samples: { readonly at: number; readonly counted: number }[] = [];
  let gained = 0;
  /** Of the minutes of the reading before. */
  let counts: ReadonlyMap<string, number> | undefined;
  const seen = new Set<string>();
  return {
    rate(at, counted) {
      samples = [...samples.filter(sample => sample.at >= at - rateOverMs), { at, counted }];
      const first = samples[0] ?? { at, counted };
      if (at <= first.at) return 0;
      return Math.max(0, Math.round(((counted - first.counted) * 10_000) / (at - first.at)) / 10);
    },

    seen(minutes) {
      for (const { start, count } of minutes)
        gained += Math.max(0, count - (counts?.get(start) ?? (counts ? 0 : count)));
      counts = new Map(minutes.map(({ start, count }) => [start, count]));
      return gained;
    },

    fresh(restatements) {
      const fresh = restatements.filter(row => !seen.has(keyOf(row)));
      for (const row of fresh) seen.add(keyOf(row));
      for (const key of seen) {
        if (seen.size <= seenKept) break;
        seen.delete(key);
      }
      return fresh.map(row => ({ ...row, minute: isoOf(row.minute), at: isoOf(row.at) }));
    },
  };
}

function keyOf({ minute, ad_id, country, revision, job }: TimedRestatement): string {
  return `${minute} ${ad_id} ${country} ${revision} ${job}`;
}
