/**
 * Computes digests of a node's rows, by hour and partition of the log. Equal rows have equal digests, whatever their
 * order and whatever parts of the table they are in.
 */

import { Type } from 'typebox';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { joined, named, sql, statement } from '../../../infra/clickhouse/sql.ts';
import type { TimeRange } from '../../time/time-range.ts';
import { type RowOf, readRows, rowShape } from '../sql/read-rows.ts';
import { settingsOf } from '../sql/read-settings.ts';

export interface Digest {
  readonly rows: number;
  readonly hash: string;
}

/** The rows that a digest is of. */
export interface Bucket {
  readonly table: string;
  /** Epoch ms. 0 for a table that is compared as a whole. */
  readonly hour: number;
  /** -1 for a table that has no column for the partition. */
  readonly partition: number;
}

export type Digests = ReadonlyMap<string, Bucket & Digest>;

interface ComparedTable {
  readonly table: string;
  /** The column with the time of a row. Left out for a small table, which is compared as a whole. */
  readonly time?: string;
  readonly partition?: string;
  /** The range of time that one statement reads. Given where an hour may be too much. */
  readonly sliceMs?: number;
  /** Older rows may be gone in one node and not yet in another. */
  readonly keptDays?: number;
  /** Columns that `*` leaves out, because they are made of what is given in an insert. */
  readonly more?: readonly string[];
}

/**
 * Progress is left out, because it differs between nodes at any moment. Tables that each node computes from these tables
 * (rollup/) are left out too.
 */
export const comparedTables: readonly ComparedTable[] = [
  { table: 'click_raw', time: 'clicked_at', keptDays: 35, sliceMs: 600_000 },
  {
    table: 'ad_minute',
    time: 'minute',
    partition: 'partition',
    keptDays: 400,
    more: ['rules', 'invalid', 'invalid_by'],
  },
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
  { table: 'audit_record', time: 'at', keptDays: 2_557 },
  { table: 'conservation_seal' },
  { table: 'stored_filter' },
];

/** Returns the digests of rows with a time in the range, and of tables that are compared as a whole. */
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
      for (const { hour, in_partition: partition, n, sip, city } of await readSums(clickhouse, compared, slice)) {
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

/** Adds 64-bit numbers as ClickHouse does: the sum wraps around. */
function added(a: string, b: string): bigint {
  return BigInt.asUintN(64, BigInt(a) + BigInt(b));
}

export function keyOf({ table, hour, partition }: Bucket): string {
  return `${table} ${hour} ${partition}`;
}

const Sums = rowShape('digests', {
  hour: Type.Integer(),
  in_partition: Type.Integer(),
  n: Type.Integer(),
  sip: Type.String(),
  city: Type.String(),
});

async function readSums(
  clickhouse: Pick<ClickHouse, 'query'>,
  { table, time, partition, more = [] }: ComparedTable,
  { from, to }: TimeRange,
): Promise<RowOf<typeof Sums>[]> {
  const at = (ms: number) => sql`fromUnixTimestamp64Milli(${Math.max(0, Math.floor(ms))}, 'UTC')`;
  const when = time === undefined ? undefined : named(time);
  const hour = when ? sql`toInt64(toUnixTimestamp(toStartOfHour(toDateTime(${when}, 'UTC')))) * 1000` : sql`0`;
  const within = when ? sql`${when} >= ${at(from)} AND ${when} < ${at(to)}` : sql`1`;
  const inPartition = partition === undefined ? sql`-1` : sql`toInt32(${named(partition)})`;
  const columns = joined([sql`*`, ...more.map(named)], ', ');
  return await readRows(
    clickhouse,
    Sums,
    // There are sums of two different hashes. Different rows would have to give the same sum twice.
    statement`SELECT ${hour} AS hour, ${inPartition} AS in_partition, count() AS n,
       toString(sum(sipHash64(${columns}))) AS sip, toString(sum(cityHash64(${columns}))) AS city
     FROM ${named(table)} FINAL WHERE ${within} GROUP BY hour, in_partition
     ${settingsOf(0, 55_000, { max_threads: 1 })}`,
  );
}

const dayMs = 86_400_000;
