/**
 * The law that what was accepted is counted: looks for clicks that stand in raw, came too late, and are in no count long
 * after. It asks the clicks themselves: of each ad and minute that a late line names, raw has so many distinct clicks, and
 * so many are counted. No job, and no word of a recount about itself, plays a part, so nothing that becomes of either can
 * hide a click. (Minutes that were counted by the older rule of ids are left out: there an ad may rightly have fewer clicks
 * than raw has of it, see id-rule.ts.)
 *
 * Lines are looked at by the hour in which they came: the last hours and those in which something was found each time, the
 * others in turn, so that a look is short however many lines there are.
 */

import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { readUncounted, type UncountedClicks } from '../../store/jobs/uncounted-rows.ts';
import { arrivedSince } from '../../store/late-clicks.ts';
import { rawSince } from '../../store/raw-retention.ts';

export interface UncountedCheck {
  /** Looks at some hours; what is known then of all of them. */
  run(): Promise<readonly UncountedClicks[]>;
}

export interface UncountedCheckOptions {
  readonly clickhouse: ClickHouse;
  /** Epoch ms. */
  readonly now: () => number;
  /** From which minute on ids are per ad in all partitions, epoch ms; Infinity: nowhere yet. */
  readonly idsPerAdFrom: () => Promise<number>;
  /** A click may wait so long: several times as long as a restatement takes. */
  readonly waitsMs?: number;
}

export function createUncountedCheck({
  clickhouse,
  now,
  idsPerAdFrom,
  waitsMs = 15 * 60_000,
}: UncountedCheckOptions): UncountedCheck {
  /** By begin of the hour of arrival. */
  const hours = new Map<number, { readonly lookedAt: number; readonly found: readonly UncountedClicks[] }>();
  return {
    async run() {
      const at = now();
      const since = Math.max(rawSince(at), await idsPerAdFrom());
      if (since > at) return [];
      const until = at - waitsMs;
      const all = hoursBetween(arrivedSince(at), until);
      for (const hour of hours.keys()) if (hour < (all[0] ?? 0)) hours.delete(hour);
      const rank = (hour: number) => hours.get(hour)?.lookedAt ?? 0;
      const always = all.filter(hour => hour > until - 2 * hourMs || (hours.get(hour)?.found.length ?? 0) > 0);
      const others = all.filter(hour => !always.includes(hour)).sort((a, b) => rank(a) - rank(b) || b - a);
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
/** Eight days are seen within eight minutes of a start. */
const hoursPerRun = 30;

function hoursBetween(from: number, to: number): number[] {
  const first = from - (from % hourMs);
  return Array.from({ length: Math.max(0, Math.ceil((to - first) / hourMs)) }, (_, i) => first + i * hourMs);
}
