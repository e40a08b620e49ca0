/** Two hours of traffic to look at, in the tables as the pipeline would have left it: final, late, restated, set aside. */
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { type Click, formatLine, partitionOf } from '../../ingest/click.ts';
import { newJob } from '../../query-api/store/jobs/job.ts';
import { SeededRandom } from '../simulation/seeded-random.ts';
import { click } from './clicks.ts';
import { jobsIn } from './log-into.ts';

export const partitions = 4;
const minuteMs = 60_000;
const countries = ['US', 'KR', 'DE', 'FR', 'BR', 'IN', 'JP', 'GB', 'ES', 'ZZ'];
const minutesBack = 130;
/** So that there are clicks in the minutes during which tests look. */
const minutesAhead = 10;

export const adOf = (rank: number) => `summer-${(rank * 37) % 89}.banner-${rank % 4}`;

/** A click that was counted, a copy of it, and one that came too late. */
export const traced = { adId: adOf(0), eventId: 'order-4711' };

/** What the counts of `drift.adId` are too low by, in one final minute. */
export const drift = { adId: adOf(0), country: 'KR', clicks: 3 };

export interface DashboardData {
  /** The minute whose count is too low, epoch ms. */
  readonly driftMinute: number;
  readonly counted: number;
  readonly duplicates: number;
}

export async function fillDashboard(clickhouse: ClickHouse, now: number): Promise<DashboardData> {
  const random = new SeededRandom(7);
  const current = minuteOf(now);
  const driftMinute = current - 20 * minuteMs;
  const insert = (table: string, rows: readonly object[]) =>
    clickhouse.insert(table, rows.map(row => JSON.stringify(row)).join('\n'));
  const cells = [];
  for (let minute = current - minutesBack * minuteMs; minute <= current + minutesAhead * minuteMs; minute += minuteMs) {
    const wave = 1 + 0.45 * Math.sin(minute / minuteMs / 11) - 0.2 * Math.cos(minute / minuteMs / 4);
    for (let rank = 0; rank < 30; rank++) {
      for (const [i, country] of countries.entries()) {
        const clicks = Math.round(((160 * wave) / ((rank + 2) * (i + 1.5))) * (0.6 + 0.8 * random.next()));
        if (clicks > 0) cells.push(cellOf(minute, adOf(rank), country, clicks));
      }
    }
  }
  await insert('ad_minute', cells);
  await insert('ad_minute_by_ad', cells);
  await insert(
    'restatement',
    [7, 33, 34].map(back => restatementOf(current - back * minuteMs, now)),
  );
  await insert('quarantine', setAside(now));
  // As if those minutes had been recounted: here is no raw click of them to do it with.
  const from = minuteOf(now - 30 * minuteMs);
  const recounted = { from, to: from + minuteMs, minutes: [from] };
  const job = newJob({ kind: 'restate', reason: 'late', apply: true, ...recounted }, now - 25 * minuteMs);
  await jobsIn(clickhouse).save({
    ...job,
    state: 'done',
    position: job.to,
    minutesDone: 1,
  });
  const seen = { day: dayOf(now), minute: from / 1_000, lines: 1_000, job: job.id, at: Math.floor(now / 1_000) };
  await insert('minute_recount', [seen]);
  const read_until = Object.fromEntries(Array.from({ length: partitions }, (_, partition) => [partition, 2_000]));
  await insert('recounted_minute', [
    { minute: from / 1_000, at: now - 20 * minuteMs, job: job.id, cells: 0, read_until, settled: 1 },
  ]);
  await insertDrift(clickhouse, driftMinute);
  const counted = cells.reduce((sum, cell) => sum + cell.clicks, 0);
  const duplicates = cells.reduce((sum, cell) => sum + cell.duplicates, 0);
  await insert('partition_progress', progressRows({ counted, duplicates, now }));
  return { driftMinute, counted, duplicates };
}

const minuteOf = (at: number) => at - (at % minuteMs);
const dayOf = (at: number) => new Date(at).toISOString().slice(0, 10);

function cellOf(minute: number, adId: string, country: string, clicks: number) {
  return {
    minute: minute / 1_000,
    ad_id: adId,
    country,
    partition: partitionOf(adId, partitions),
    version: 10,
    clicks,
    duplicates: Math.round(clicks * 0.02),
    late: Math.round(clicks * 0.006),
  };
}

function restatementOf(minute: number, now: number) {
  return {
    ...{ minute: minute / 1_000, ad_id: traced.adId, country: 'US', revision: 1, reason: 'late' },
    ...{ job: '01K9XW4V8S3T5R7N2M6P0QABCD', before: 62, after: 65, before_duplicates: 1, after_duplicates: 1 },
    at: now - 90_000,
  };
}

function setAside(now: number) {
  const late = { reason: 'too_late', detail: 'its minute was final', ad_id: traced.adId, event_id: traced.eventId };
  const malformed = { reason: 'malformed', detail: 'not a JSON object', ad_id: '', event_id: '', clicked_at: 0 };
  const future = { reason: 'future', detail: 'more than 5 min ahead of the broker', ad_id: adOf(2), event_id: 'f-1' };
  return Array.from({ length: 24 }, (_, i) => {
    const kind = [late, malformed, late, future][i % 4] ?? late;
    const clickedAt = kind === future ? now + 900_000 : now - 30 * minuteMs;
    const raw = { click_id: `01K9XW4V8S3T5R7N2M6P0Q${1000 + i}`, event_id: kind.event_id, ad_id: kind.ad_id };
    return {
      ...{ partition: i % 4, offset: 900 + i, line: 0, appended_at: now - i * 61_000, clicked_at: clickedAt },
      ...kind,
      ...(kind === late && i > 0 ? { event_id: `order-${i}` } : {}),
      raw: kind === malformed ? '{"ad_id":"summer-0.ban' : JSON.stringify({ ...raw, clicked_at: clickedAt }),
    };
  });
}

/** Raw clicks of one minute, and counts of it that lack some: what a replay is for. */
async function insertDrift(clickhouse: ClickHouse, minute: number): Promise<void> {
  const cell = await clickhouse.query<{ ad_id: string; country: string; clicks: number }>(
    `SELECT ad_id, country, clicks FROM ad_minute WHERE minute = toDateTime(${minute / 1_000}, 'UTC')`,
  );
  const clicks: Click[] = cell.flatMap(({ ad_id, country, clicks: n }) => {
    const isShort = ad_id === drift.adId && country === drift.country;
    const count = Number(n) + (isShort ? drift.clicks : 0);
    return Array.from({ length: count }, (_, i) =>
      click({ adId: ad_id, country, clickedAt: minute + i, eventId: `${ad_id}-${country}-${i}` }),
    );
  });
  const twice = [1, 2].map(() => click({ ...traced, country: 'US', clickedAt: minute - 10 * minuteMs }));
  await clickhouse.insert('click_raw', [...clicks, ...twice].map(formatLine).join('\n'));
}

/** As it is at that time: event time goes on, as ticks make it. `missing`: of the first partition. */
export function progressRows(of: { counted: number; duplicates: number; missing?: number; now: number }) {
  const { now } = of;
  const finalUntil = minuteOf(now) - 2 * minuteMs;
  return Array.from({ length: partitions }, (_, partition) => {
    const counted = Math.floor(of.counted / partitions) + (partition === 0 ? of.counted % partitions : 0);
    const duplicates = Math.floor(of.duplicates / partitions) + (partition === 0 ? of.duplicates % partitions : 0);
    const received = counted + duplicates + 6;
    const missing = partition === 0 ? (of.missing ?? 0) : 0;
    return {
      ...{
        partition,
        partitions,
        position: 99_990 + partition,
        watermark: now - 15_200 - partition * 300,
      },
      ...{ final_until: finalUntil, appended_at: now - 200, counted, duplicates, quarantined: 6 },
      ...{ received, acknowledged: received - 3 + missing, missing },
    };
  });
}
