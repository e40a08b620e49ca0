/** An ad that is split over partitions while rules have caps: its clicks, and its counts as the stream has them. */
import { type AdMinuteRow, judgedColumns } from '../../aggregator/ad-minute.ts';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { type Click, formatLine, splitPartitionOf } from '../../ingest/click.ts';
import type { RulesVersion } from '../../ingest/validity/rule-set.ts';
import { noRules, type ValidityRules } from '../../ingest/validity/rules.ts';
import { createSplitClicks, type SplitClicks } from '../../query-api/store/split-clicks.ts';
import type { SplitRules } from '../../query-api/store/split-minutes.ts';
import { click } from './clicks.ts';
import { judgedLinesOf } from './counted-clicks.ts';
import { invalidOfCell, sumOf } from './judged-clicks.ts';

export const partitions = 4;
export const hotAd = 'hot';
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const now = Math.floor(Date.now() / minuteMs) * minuteMs;
/** A minute in which the ad is split, long final, and its end. */
export const start = now - 30 * hourMs;
export const end = start + minuteMs;

const none = noRules.rules;
export const strict: ValidityRules = { ...none, double_click_seconds: 10, user_clicks_per_minute: 3 };
const version = (n: number, from: number, rules: ValidityRules): RulesVersion => ({
  ...{ version: n, from, rules, holds: true, ruleId: `${n}`.padStart(26, '0'), note: '', by: 'somebody' },
  announcedAt: 0,
});
/** Version 1 has no caps, the minutes are judged by version 2, and version 3 would let hardly anything through. */
export const splitRules: SplitRules = {
  rules: [{ ruleId: '0'.repeat(26), adId: hotAd, from: now - 60 * hourMs, until: now }],
  versions: [
    version(1, now - 80 * hourMs, { ...none, known_bot: true }),
    version(2, now - 70 * hourMs, strict),
    version(3, now - hourMs, { ...strict, user_clicks_per_minute: 1, double_click_seconds: 60 }),
  ],
  rulesKnownUntil: Number.POSITIVE_INFINITY,
};

/** Clicks of two persons, of which each has two in every step. Their event ids lie in several partitions. */
export function persons(minute: number): Click[] {
  return Array.from({ length: 24 }, (_, i) =>
    click({
      ...{ adId: hotAd, eventId: `hot-${i}`, clickedAt: minute + Math.floor(i / 4) * 10_000 + i, country: 'KR' },
      ...{ userId: `u${i % 2}`, ip: `203.0.113.${i % 2}` },
    }),
  );
}

export interface How {
  readonly rules?: ValidityRules;
  readonly by?: number;
  readonly isSplit?: boolean;
}

/**
 * Inserts clicks as sinks do it after the aggregators have judged those of each partition by themselves. Returns how many
 * are invalid then.
 */
export async function insertCounted(
  clickhouse: ClickHouse,
  clicks: readonly Click[],
  { rules = strict, by = 2, isSplit = true }: How = {},
): Promise<number> {
  const placeOf = ({ clickedAt, eventId }: Click) =>
    JSON.stringify([clickedAt - (clickedAt % minuteMs), isSplit ? splitPartitionOf(eventId, partitions) : 1]);
  const rows = [...Map.groupBy(clicks, placeOf)].map(([place, own]): AdMinuteRow => {
    const [minute, partition] = JSON.parse(place);
    const invalid_by = invalidOfCell(own, rules);
    return {
      ...{ minute: minute / 1_000, ad_id: hotAd, country: 'KR', partition, version: 50, clicks: own.length },
      ...{ duplicates: 0, late: 0, rules: by, invalid: sumOf(invalid_by), invalid_by },
    };
  });
  await clickhouse.insert('click_raw', clicks.map(formatLine).join('\n'));
  await clickhouse.insert('ad_minute', judgedLinesOf(rows), judgedColumns);
  return rows.reduce((sum, { invalid }) => sum + invalid, 0);
}

/** What the second statement of the rules says of these clicks when it has them together. */
export function together(clicks: readonly Click[]) {
  const invalid_by = invalidOfCell(clicks, strict);
  return { gross: clicks.length, net: clicks.length - sumOf(invalid_by), invalid: sumOf(invalid_by), invalid_by };
}

/** The clicks that wait, found by a process that has just been started. */
export async function splitClicksIn(
  clickhouse: ClickHouse,
  finalUntil: number | null = end,
  rules: SplitRules = splitRules,
): Promise<SplitClicks> {
  return await createSplitClicks({ clickhouse, splitRules: rules, now: Date.now })(finalUntil);
}
