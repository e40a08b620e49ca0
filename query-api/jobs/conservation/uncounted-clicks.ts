/**
 * The law that what was accepted is counted: looks for clicks that stand in raw, came too late, and are in no count long
 * after. It asks the clicks themselves: of each ad and minute that a late line names, raw has so many distinct clicks, and
 * so many are counted. No job, and no word of a recount about itself, plays a part, so nothing that becomes of either can
 * hide a click. (Minutes that were counted by the older rule of ids are left out: there an ad may rightly have fewer clicks
 * than raw has of it, see id-rule.ts.)
 *
 * Lines are looked at by the hour in which they came: the last hours and those in which something was found each time, the
 * others in turn, so that a look is short however many lines there are. An hour in which none came is none to look at.
 */

import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../../infra/clickhouse/sharded-tables.ts';
import { sql, statement } from '../../../infra/clickhouse/sql.ts';
import { arrivedSince } from '../../store/late-clicks.ts';
import { rawSince } from '../../store/raw-retention.ts';
import { settingsOf } from '../../store/sql/read-settings.ts';
import type { TimeRange } from '../../time/time-range.ts';

/** Of one ad and minute. */
export interface UncountedClicks {
  /** Epoch ms. */
  readonly minute: number;
  readonly ad_id: string;
  /** Distinct clicks in raw. */
  readonly raw: number;
  readonly counted: number;
  /** At least so many are in no count: those less the lines that came too late just now. */
  readonly clicks: number;
}

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
      const rank = (hour: number) => hours.get(hour)?.lookedAt ?? 0;
      const withLines = new Set(
        (await clickhouse.query<{ hour: number }>(...hoursOfLines({ from: all[0] ?? until, to: until }, since))).map(
          ({ hour }) => hour,
        ),
      );
      for (const hour of hours.keys()) if (!withLines.has(hour)) hours.delete(hour);
      const looked = all.filter(hour => withLines.has(hour));
      const always = looked.filter(hour => hour > until - 2 * hourMs || (hours.get(hour)?.found.length ?? 0) > 0);
      const others = looked.filter(hour => !always.includes(hour)).sort((a, b) => rank(a) - rank(b) || b - a);
      for (const hour of [...always, ...others].slice(0, hoursPerRun)) {
        const arrival = { from: hour, to: Math.min(hour + hourMs, until) };
        const found = await clickhouse.query<UncountedClicks>(...uncountedIn(arrival, since));
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
/** Ads and minutes of an hour that are told apart. */
const pairsPerHour = 1_000;
const timeoutMs = 60_000;

function hoursBetween(from: number, to: number): number[] {
  const first = from - (from % hourMs);
  return Array.from({ length: Math.max(0, Math.ceil((to - first) / hourMs)) }, (_, i) => first + i * hourMs);
}

const at = (ms: number) => sql`fromUnixTimestamp64Milli(${ms}, 'UTC')`;

/** Hours (epoch ms) in which lines came too late. */
function hoursOfLines({ from, to }: TimeRange, since: number): ReturnType<typeof statement> {
  return statement`SELECT DISTINCT toInt64(intDiv(toUnixTimestamp64Milli(appended_at), ${hourMs})) * ${hourMs} AS hour
    FROM ${sharded('quarantine')}
    WHERE reason = 'too_late' AND clicked_at >= ${since} AND appended_at >= ${at(from)} AND appended_at < ${at(to)}
    ${settingsOf(hoursKept, timeoutMs, { max_threads: 1 })}`;
}

/** More than are ever looked at. */
const hoursKept = 1_000;

/** Lines that came in `arrival` (epoch ms). Copies of a row do no harm to distinct ids and lines, so they are read without FINAL. */
function uncountedIn({ from, to }: TimeRange, since: number): ReturnType<typeof statement> {
  const late = sql`reason = 'too_late' AND clicked_at >= ${since}`;
  const minute = sql`toDateTime(intDiv(clicked_at, 60000) * 60, 'UTC')`;
  return statement`
    WITH late AS (
      SELECT DISTINCT ${minute} AS m, ad_id AS ad FROM ${sharded('quarantine')}
      WHERE ${late} AND appended_at >= ${at(from)} AND appended_at < ${at(to)}
    ),
    fresh AS (
      SELECT ${minute} AS fm, ad_id AS fad, uniqExact(partition, offset, line) AS fresh_lines FROM ${sharded('quarantine')}
      WHERE ${late} AND appended_at >= ${at(to)} AND (${minute}, ad_id) IN (SELECT m, ad FROM late) GROUP BY fm, fad
    ),
    stated AS (
      SELECT minute AS sm, ad_id AS sad, sum(clicks) AS stated_clicks FROM ${sharded('ad_minute')} FINAL
      WHERE (minute, ad_id) IN (SELECT m, ad FROM late) GROUP BY sm, sad
    ),
    received AS (
      SELECT toStartOfMinute(clicked_at) AS rm, ad_id AS rad, uniqExact(event_id) AS raw_clicks FROM ${sharded('click_raw')}
      WHERE (toStartOfMinute(clicked_at), ad_id) IN (SELECT m, ad FROM late) GROUP BY rm, rad
    )
    SELECT toUnixTimestamp(rm) * 1000 AS minute, rad AS ad_id, raw_clicks AS raw, stated_clicks AS counted,
      toInt64(raw_clicks) - toInt64(stated_clicks) - toInt64(fresh_lines) AS clicks
    FROM received LEFT JOIN stated ON rm = sm AND rad = sad LEFT JOIN fresh ON rm = fm AND rad = fad
    WHERE clicks > 0 ORDER BY clicks DESC LIMIT ${pairsPerHour} 
    ${settingsOf(pairsPerHour, timeoutMs, { join_use_nulls: 0, max_threads: 1 })}`;
}
