/** Pure: makes the answer of GET /v1/status from the progress of the partitions and the ends of the log. */

import type { Progress } from '../../aggregator/ad-minute.ts';
import type { JobRunnerRow } from '../../aggregator/job-records.ts';
import { partitionsAt } from '../../ingest/hot-ads/partition-rule.ts';
import { isoOf, isoOrNull } from '../http/parameters.ts';
import type { Routing } from '../log/hot-ad-rules.ts';
import { finalityOf } from '../store/finality.ts';
import type { RowsChecked } from '../store/jobs/conservation-store.ts';
import { silentAfterMs } from '../store/jobs/runner-store.ts';
import type { LateClicks } from '../store/late-clicks.ts';
import { clicksOf } from '../store/net-and-gross.ts';
import type { SplitClicks } from '../store/split-clicks.ts';
import type { Stall } from './stalled-partitions.ts';

/**
 * `endOffsets` is undefined when Kafka does not answer. Then the answer does not say what is unread. `writtenOff` has, for
 * each partition, how many acknowledged lines were lost and written off by a person. `stalled` are the partitions that
 * are not being counted.
 */
export function statusOf(
  progress: readonly Progress[],
  endOffsets: ReadonlyMap<number, number> | undefined,
  rowsChecked: RowsChecked | undefined,
  writtenOff: ReadonlyMap<number, number>,
  stalled: readonly Stall[],
  now: number,
) {
  const since = new Map(stalled.map(stall => [stall.partition, stall.since]));
  const { watermark, finalUntil } = finalityOf(progress);
  const uncounted = rowsChecked?.uncounted ?? null;
  const known = new Map(progress.map(row => [row.partition, row]));
  const partitions = [...new Set([...known.keys(), ...(endOffsets?.keys() ?? [])])]
    .sort((a, b) => a - b)
    .map(partition => {
      const row = known.get(partition) ?? { ...nothingCounted, partition };
      const status = partitionStatus(row, endOffsets?.get(partition), writtenOff.get(partition) ?? 0, now);
      return { ...status, stalled_since: isoOrNull(since.get(partition) ?? null) };
    });
  const total = (field: SummedField) => partitions.reduce((sum, row) => sum + row[field], 0);
  return {
    watermark: isoOrNull(watermark),
    watermark_age_ms: ageOf(watermark, now),
    final_until: isoOrNull(finalUntil),
    partitions,
    conservation: {
      received: total('received'),
      counted: total('counted'),
      duplicates: total('duplicates'),
      quarantined: total('quarantined'),
      gross: total('gross'),
      invalid: total('invalid'),
      net: total('net'),
      acknowledged: total('acknowledged'),
      unacknowledged: total('unacknowledged'),
      missing: total('missing'),
      written_off: total('written_off'),
      unread_records: endOffsets ? partitions.reduce((sum, row) => sum + (row.lag_records ?? 0), 0) : null,
      balanced: partitions.every(isBalanced) && (uncounted ?? 0) === 0,
      uncounted,
      rows: rowsChecked === undefined ? null : rowsStatus(rowsChecked),
    },
  };
}

/** Returns the ads that are split now or later. Rules that follow each other without a gap become one entry. */
export function hotAdsOf({ rules, partitionRules }: Routing, unrecorded: number, now: number) {
  const stretches: { adId: string; from: number; until: number }[] = [];
  for (const { adId, from, until } of rules.toSorted((a, b) => a.from - b.from)) {
    const before = stretches.findLast(stretch => stretch.adId === adId);
    if (before && from <= before.until) before.until = Math.max(before.until, until);
    else stretches.push({ adId, from, until });
  }
  return stretches
    .filter(({ until }) => until > now)
    .map(({ adId, from, until }) => {
      const partitions = partitionsAt(partitionRules, Math.max(now, from)) || unrecorded;
      return { ad_id: adId, from: isoOf(from), until: isoOf(until), partitions };
    });
}

type SummedField =
  | 'received'
  | 'counted'
  | 'duplicates'
  | 'quarantined'
  | 'gross'
  | 'invalid'
  | 'net'
  | 'acknowledged'
  | 'unacknowledged'
  | 'missing'
  | 'written_off';

/**
 * Checks that acknowledged - missing + unacknowledged = received = counted + duplicates + quarantined, that gross =
 * duplicates + invalid + net, and that all missing lines are written off.
 */
function isBalanced(row: ReturnType<typeof partitionStatus>): boolean {
  const isNetted = row.gross === row.duplicates + row.invalid + row.net && row.net >= 0;
  return isNetted && row.balance === 0 && row.unacknowledged >= 0 && row.missing <= row.written_off;
}

function partitionStatus(row: Progress, endOffset: number | undefined, writtenOff: number, now: number) {
  return {
    partition: row.partition,
    position: row.position,
    end_offset: endOffset ?? null,
    // Progress is read before the ends, so it can only be behind. If the log is shorter because it was deleted and
    // created again, the lag is 0.
    lag_records: endOffset === undefined ? null : Math.max(0, endOffset - row.position),
    watermark: isoOrNull(row.watermark || null),
    watermark_age_ms: ageOf(row.watermark || null, now),
    appended_at: isoOrNull(row.appended_at || null),
    final_until: isoOrNull(row.final_until || null),
    received: row.received,
    counted: row.counted,
    duplicates: row.duplicates,
    quarantined: row.quarantined,
    gross: clicksOf({ ...row, count: row.counted }, 'gross'),
    invalid: row.invalid,
    net: clicksOf({ ...row, count: row.counted }, 'net'),
    balance: row.received - row.counted - row.duplicates - row.quarantined,
    acknowledged: row.acknowledged,
    unacknowledged: row.received - (row.acknowledged - row.missing),
    missing: row.missing,
    written_off: writtenOff,
  };
}

function rowsStatus({ checkedAt, differences }: RowsChecked) {
  return {
    checked_at: isoOrNull(checkedAt ?? null),
    difference: differences.reduce((sum, { difference }) => sum + Math.abs(difference), 0),
    differences: [...differences],
  };
}

/** Returns the job runner that is active, or null when there has never been one. */
export function runnerStatus(runner: JobRunnerRow | undefined, now: number) {
  if (runner === undefined) return null;
  const { host, since, seen_at } = runner;
  return { host, since: isoOf(since), seen_at: isoOf(seen_at), runs: now - seen_at <= silentAfterMs };
}

/** Returns the clicks of split ads that wait for their restatement. */
export function splitStatus({ clicks, minutes }: SplitClicks) {
  return { clicks, minutes: minutes.length, since: isoOrNull(minutes[0] ?? null) };
}

/** Returns the late clicks that wait for their restatement. */
export function waitingStatus({ clicks, minutes, since }: LateClicks) {
  return { clicks, minutes, since: isoOrNull(since ?? null) };
}

function ageOf(watermark: number | null, now: number): number | null {
  return watermark === null ? null : now - watermark;
}

/** The progress of a partition that has never been counted. */
const nothingCounted: Omit<Progress, 'partition'> = {
  partitions: 0,
  position: 0,
  watermark: 0,
  final_until: 0,
  appended_at: 0,
  received: 0,
  counted: 0,
  duplicates: 0,
  quarantined: 0,
  acknowledged: 0,
  missing: 0,
  invalid: 0,
  ids_per_ad_from: null,
};
