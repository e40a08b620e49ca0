/** What a node's rows add up to, by hour and partition of the log: equal for equal rows, in whatever order and parts they lie. */

import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { named, sql, statement } from '../../../infra/clickhouse/sql.ts';
import type { TimeRange } from '../../time/time-range.ts';
import { settingsOf } from '../sql/read-settings.ts';

export interface Digest {
  readonly rows: number;
  readonly hash: string;
}

/** Which rows: `table`, an hour (epoch ms; 0: of a table that is compared whole) and a partition (-1: the table does not say). */
export interface Bucket {
  readonly table: string;
  readonly hour: number;
  readonly partition: number;
}

export type Digests = ReadonlyMap<string, Bucket & Digest>;

interface ComparedTable {
  readonly table: string;
  /** Column that says the hour; undefined: small, and compared whole. */
  readonly time?: string;
  readonly partition?: string;
  /** Of how much one statement reads, where an hour may be too much. */
  readonly sliceMs?: number;
  /** Rows that are older may be gone in one node and not yet in another. */
  readonly keptDays?: number;
}

/**
 * Progress is left out, which is never the same at the same moment, and what each node works out for itself from the rows
 * that are here (rollup/).
 */
export const comparedTables: readonly ComparedTable[] = [
  { table: 'click_raw', time: 'clicked_at', keptDays: 35, sliceMs: 600_000 },
  { table: 'ad_minute', time: 'minute', partition: 'partition', keptDays: 400 },
  { table: 'ad_minute_by_ad', time: 'minute', partition: 'partition', keptDays: 400 },
  { table: 'quarantine', time: 'appended_at', partition: 'partition', keptDays: 35 },
  { table: 'restatement', time: 'minute', keptDays: 400 },
  { table: 'recounted_minute', time: 'minute', keptDays: 400 },
  { table: 'minute_recount', time: 'day', keptDays: 40 },
  { table: 'replay_diff', time: 'at', keptDays: 35 },
  { table: 'replay_job', time: 'created_at', keptDays: 400 },
  { table: 'replay_cancellation', time: 'at', keptDays: 400 },
  { table: 'conservation_check', time: 'at', keptDays: 400 },
  { table: 'replica_check', time: 'at', keptDays: 400 },
  { table: 'job_runner', time: 'since', keptDays: 400 },
  { table: 'conservation_seal' },
  { table: 'stored_filter' },
];

/** Of rows with a time in the range, and of tables that are compared whole. */
export async function digestsOf(
  clickhouse: Pick<ClickHouse, 'query'>,
  range: TimeRange,
  now: number,
): Promise<Map<string, Bucket & Digest>> {
  const digests = new Map<string, Bucket & Digest>();
  for (const compared of comparedTables) {
    const { table, time, keptDays, sliceMs = range.to - range.from } = compared;
    const oldest = keptDays === undefined ? 0 : now - (keptDays - 1) * dayMs;
    const since = time === undefined ? range.from : Math.max(range.from, oldest);
    for (let from = since; from < range.to; from += sliceMs) {
      const slice = { from, to: Math.min(range.to, from + sliceMs) };
      for (const { hour, in_partition: partition, n, sip, city } of await sumsOf(clickhouse, compared, slice)) {
        const bucket = { table, hour, partition };
        const before = digests.get(keyOf(bucket)) ?? { rows: 0, hash: '0-0' };
        const [sips = '0', cities = '0'] = before.hash.split('-');
        const hash = `${added(sips, sip)}-${added(cities, city)}`;
        digests.set(keyOf(bucket), { ...bucket, rows: before.rows + n, hash });
      }
    }
  }
  return digests;
}

/** As ClickHouse adds up. */
function added(a: string, b: string): bigint {
  return BigInt.asUintN(64, BigInt(a) + BigInt(b));
}

export function keyOf({ table, hour, partition }: Bucket): string {
  return `${table} ${hour} ${partition}`;
}

interface Sums {
  readonly hour: number;
  readonly in_partition: number;
  readonly n: number;
  readonly sip: string;
  readonly city: string;
}

async function sumsOf(
  clickhouse: Pick<ClickHouse, 'query'>,
  { table, time, partition }: ComparedTable,
  { from, to }: TimeRange,
): Promise<Sums[]> {
  const at = (ms: number) => sql`fromUnixTimestamp64Milli(${Math.max(0, Math.floor(ms))}, 'UTC')`;
  const when = time === undefined ? undefined : named(time);
  const hour = when ? sql`toInt64(toUnixTimestamp(toStartOfHour(toDateTime(${when}, 'UTC')))) * 1000` : sql`0`;
  const within = when ? sql`${when} >= ${at(from)} AND ${when} < ${at(to)}` : sql`1`;
  const inPartition = partition === undefined ? sql`-1` : sql`toInt32(${named(partition)})`;
  return await clickhouse.query<Sums>(
    // Two sums of different hashes: rows that differ would have to do so twice in the same way.
    ...statement`SELECT ${hour} AS hour, ${inPartition} AS in_partition, count() AS n,
       toString(sum(sipHash64(*))) AS sip, toString(sum(cityHash64(*))) AS city
     FROM ${named(table)} FINAL WHERE ${within} GROUP BY hour, in_partition
     ${settingsOf(0, 55_000, { max_threads: 1 })}`,
  );
}

const dayMs = 86_400_000;
