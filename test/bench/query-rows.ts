/**
 * Count rows as a day or more of clicks leaves them, with a truth in closed form: of every minute slot `r` is one row.
 * The first slots are the same hot ads in eight countries each, every minute, with clicks as 1/rank; the others go round
 * the long tail, ad after ad. Made inside ClickHouse, which takes a minute for 20 million rows.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';

export interface RowPlan {
  readonly ads: number;
  /** Of `ad_minute`, and as many of `ad_minute_by_ad`. */
  readonly rows: number;
  readonly minutes: number;
  /** Epoch ms of the first minute. */
  readonly from: number;
}

export const minuteMs = 60_000;
export const countries = ['KR', 'US', 'JP', 'DE', 'BR', 'IN', 'GB', 'FR'] as const;
const hotAds = 500;
const hotSlots = hotAds * countries.length;
/** Clicks a minute of the first ad, about. */
const peak = 40_000;

export function slotsOf({ rows, minutes }: RowPlan): number {
  const slots = Math.floor(rows / minutes);
  if (slots < 2 * hotSlots) throw new Error(`${rows} rows in ${minutes} minutes: too few for ${hotSlots} hot slots`);
  return slots;
}

/** Clicks of slot `slot` in minute `minute` of the plan. */
export function clicksOf(minute: number, slot: number): number {
  const wobble = (minute * 7 + slot * 13) % 5;
  if (slot >= hotSlots) return 1 + (wobble > 3 ? 1 : 0);
  const ad = Math.floor(slot / countries.length);
  return 1 + wobble + Math.floor(peak / (8 * (ad + 1)));
}

export function adNameOf(ad: number): string {
  return `ad-${String(ad).padStart(7, '0')}`;
}

/** Of the minutes [from, to) of the plan. `country` is an index; undefined: all. */
export function hotTotals(from: number, to: number, country?: number): { ad_id: string; count: number }[] {
  const totals = Array.from({ length: hotAds }, (_, ad) => ({ ad_id: adNameOf(ad), count: 0 }));
  for (let minute = from; minute < to; minute++) {
    for (let slot = 0; slot < hotSlots; slot++) {
      if (country !== undefined && slot % countries.length !== country) continue;
      totals[Math.floor(slot / countries.length)]!.count += clicksOf(minute, slot);
    }
  }
  return totals.sort((a, b) => b.count - a.count || (a.ad_id < b.ad_id ? -1 : 1));
}

/** Of all ads. */
export function minuteTotal(plan: RowPlan, minute: number): number {
  let total = 0;
  const slots = slotsOf(plan);
  for (let slot = 0; slot < slots; slot++) total += clicksOf(minute, slot);
  return total;
}

/** Half an hour at a time (a view fills `ad_minute_by_ad`), and waits until ClickHouse has merged what it would. */
export async function fillRows(clickhouse: ClickHouse, plan: RowPlan): Promise<void> {
  for (let minute = 0; minute < plan.minutes; minute += minutesPerInsert) {
    const minutes = Math.min(minutesPerInsert, plan.minutes - minute);
    await clickhouse.command(`INSERT INTO ad_minute ${rowsSql(plan, minute, minutes)}`);
  }
  for (;;) {
    const [{ n } = { n: 0 }] = await clickhouse.query<{ n: number }>('SELECT count()::UInt32 AS n FROM system.merges');
    if (n === 0) break;
    await sleep(500);
  }
}

const minutesPerInsert = 30;

function rowsSql(plan: RowPlan, minute: number, minutes: number): string {
  const slots = slotsOf(plan);
  const [first, count] = [minute * slots, minutes * slots];
  const tail = plan.ads - hotAds;
  return `
    WITH intDiv(number, ${slots}) AS m, number % ${slots} AS slot, (m * 7 + slot * 13) % 5 AS wobble,
      intDiv(slot, 8) AS hot, m * ${slots - hotSlots} + slot - ${hotSlots} AS step
    SELECT toDateTime(${plan.from / 1_000} + m * 60, 'UTC') AS minute,
      concat('ad-', leftPad(toString(if(slot < ${hotSlots}, hot, ${hotAds} + (step * 7919) % ${tail})), 7, '0')) AS ad_id,
      [${countries.map(country => `'${country}'`).join(', ')}][(if(slot < ${hotSlots}, slot, step) % 8) + 1] AS country,
      cityHash64(ad_id) % 4 AS partition, number AS version,
      if(slot < ${hotSlots}, 1 + wobble + intDiv(${peak}, 8 * (hot + 1)), 1 + (wobble > 3)) AS clicks,
      slot % 50 = 0 AS duplicates, 0 AS late
    FROM numbers_mt(${first}, ${count})`;
}
