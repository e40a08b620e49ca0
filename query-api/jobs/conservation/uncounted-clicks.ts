/**
 * Checks that everything accepted is counted. It looks for clicks that are in raw, came too late, and are in no count
 * long afterwards.
 *
 * It uses only the clicks themselves. For each ad and minute that a late line names, it compares the number of distinct
 * clicks in raw with the number that is counted. It does not read jobs, nor what recounts say about themselves. So no
 * fault of theirs can hide a click. Minutes that were counted by the former rule of ids are left out, because there an
 * ad may rightly have fewer clicks than raw contains (id-rule.ts).
 *
 * Lines are checked by the hour of their arrival, and only hours in which lines arrived are checked. The last hours,
 * and hours in which something was found, are checked each time. The other hours take turns, so that one run is short
 * however many lines there are.
 */

import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { readHoursOfLines, readUncounted, type UncountedClicks } from '../../store/jobs/uncounted-rows.ts';
import { arrivedSince } from '../../store/late-clicks.ts';
import { rawSince } from '../../store/raw-retention.ts';

export interface UncountedCheck {
  /** Checks some hours, and returns what is known about all hours. */
  run(): Promise<readonly UncountedClicks[]>;
}

export interface UncountedCheckOptions {
  readonly clickhouse: ClickHouse;
  /** Epoch ms. */
  readonly now: () => number;
  /**
   * Returns the first minute (epoch ms) in which ids are per ad in all partitions. Infinity means that there is none
   * yet.
   */
  readonly idsPerAdFrom: () => Promise<number>;
  /** A click may wait this long to be counted, which is several times as long as a restatement takes. */
  readonly waitsMs?: number;
}

export function createUncountedCheck({
  clickhouse,
  now,
  idsPerAdFrom,
  waitsMs = 15 * 60_000,
}: UncountedCheckOptions): UncountedCheck {
  /** By the begin of the hour of arrival. */
  const hours = new Map<number, { readonly lookedAt: number; readonly found: readonly UncountedClicks[] }>();
  return {
    async run() {
      const at = now();
      const since = Math.max(rawSince(at), await idsPerAdFrom());
      if (since > at) return [];
      const until = at - waitsMs;
      const all = hoursBetween(arrivedSince(at), until);
      const rank = (hour: number) => hours.get(hour)?.lookedAt ?? 0;
      const withLines = new Set(await readHoursOfLines(clickhouse, { from: all[0] ?? until, to: until }, since));
      for (const hour of hours.keys()) if (!withLines.has(hour)) hours.delete(hour);
      const looked = all.filter(hour => withLines.has(hour));
      const always = looked.filter(hour => hour > until - 2 * hourMs || (hours.get(hour)?.found.length ?? 0) > 0);
      const others = looked.filter(hour => !always.includes(hour)).sort((a, b) => rank(a) - rank(b) || b - a);
      for (const hour of [...always, ...others].slice(0, hoursPerRun)) {
        const arrival = { from: hour, to: Math.min(hour + hourMs, until) };
        const found = await readUncounted(clickhouse, arrival, since);
        hours.set(hour, { lookedAt: at, found });
      }
      const pairs = [...hours.values()].flatMap(({ found }) =>
        found.map(row => [`${row.minute} ${row.ad_id}`, row] as const),
      );
      return [...new Map(pairs).values()];
    },
  };
}

const hourMs = 3_600_000;
/** At one run a minute, eight days are checked within eight minutes of a start. */
const hoursPerRun = 30;

function hoursBetween(from: number, to: number): number[] {
  const first = from - (from % hourMs);
  return Array.from({ length: Math.max(0, Math.ceil((to - first) / hourMs)) }, (_, i) => first + i * hourMs);
}
