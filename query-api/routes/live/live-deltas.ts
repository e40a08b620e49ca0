/** Pure: what only shows between readings: how fast it counts, and which restatements are new. */
import { isoOf } from '../../http/parameters.ts';
import type { TimedRestatement } from '../../store/restatements.ts';
import type { LiveChange } from './live-event.ts';

export interface LiveDeltas {
  /** Clicks per second over the last readings. `at`: epoch ms; `counted`: clicks since the beginning. */
  rate(at: number, counted: number): number;
  /** Those that were not told before. */
  untold(restatements: readonly TimedRestatement[]): LiveChange[];
}

/** Commits come every half second: over this long, they look even. */
const rateOverMs = 5_500;

/** Restatements remembered as told; more than any reading lists. */
const toldKept = 1_000;

export function createLiveDeltas(): LiveDeltas {
  let samples: { readonly at: number; readonly counted: number }[] = [];
  const told = new Set<string>();
  return {
    rate(at, counted) {
      samples = [...samples.filter(sample => sample.at >= at - rateOverMs), { at, counted }];
      const first = samples[0] ?? { at, counted };
      if (at <= first.at) return 0;
      return Math.max(0, Math.round(((counted - first.counted) * 10_000) / (at - first.at)) / 10);
    },

    untold(restatements) {
      const fresh = restatements.filter(row => !told.has(keyOf(row)));
      for (const row of fresh) told.add(keyOf(row));
      for (const key of told) {
        if (told.size <= toldKept) break;
        told.delete(key);
      }
      return fresh.map(row => ({ ...row, minute: isoOf(row.minute), at: isoOf(row.at) }));
    },
  };
}

function keyOf({ minute, ad_id, country, revision, job }: TimedRestatement): string {
  return `${minute} ${ad_id} ${country} ${revision} ${job}`;
}
