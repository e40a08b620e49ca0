/**
 * What Kafka's own consumer reads of the whole log, held against the ledger (I1, I2), and the counts of `aggregates`
 * against the clicks of the log (I4, I5): no process of ours and no store takes part.
 */
import { partitionOf } from '../../../ingest/click.ts';
import type { LoggedLine } from '../../support/cluster-control.ts';
import { failures, writtenOnce } from '../checks.ts';
import type { ClusterLedger } from './load.ts';

export interface WholeLog {
  readonly clicks: readonly LoggedLine[];
  readonly aggregates: readonly LoggedLine[];
  readonly quarantine: readonly LoggedLine[];
}

interface LoggedClick {
  readonly event_id: string;
  readonly ad_id: string;
  readonly clicked_at: number;
}

/** All that was acknowledged before must have been counted. */
export function checkLog(ledger: ClusterLedger, log: WholeLog, partitions: number): string[] {
  const clicks = log.clicks.map(({ line, partition, offset }) => {
    return { ...(JSON.parse(line) as LoggedClick), partition, offset };
  });
  const inLog = new Set(clicks.map(({ event_id }) => event_id));
  return [
    ...failures(
      'I1 acknowledged clicks are in the log',
      [...ledger],
      ([id, { fate }]) => fate === 'acked' && !inLog.has(id),
      ([id]) => id,
    ),
    ...failures(
      'I2 nothing in the log that was refused or never posted',
      clicks,
      ({ event_id }) => !['acked', 'unknown'].includes(ledger.get(event_id)?.fate ?? 'never posted'),
      ({ event_id }) => `${event_id}: ${ledger.get(event_id)?.fate ?? 'never posted'}`,
    ),
    ...failures(
      'a click is in the partition of its ad',
      clicks,
      ({ ad_id, partition }) => partition !== partitionOf(ad_id, partitions),
      ({ event_id, partition, offset }) => `${event_id} at ${partition}/${offset}`,
    ),
    ...countsEqualLog(clicks, log),
    ...progressIsTrue(log, partitions),
    ...writtenOnce(log),
  ].map(text => text.slice(0, 400));
}

function countsEqualLog(clicks: readonly (LoggedClick & { partition: number; offset: number })[], log: WholeLog) {
  const kept = new Set(
    log.quarantine.map(({ line }) => {
      const row = JSON.parse(line) as { partition: number; offset: number; line: number };
      return `${row.partition}|${row.offset}|${row.line}`;
    }),
  );
  const expected = new Map<string, Set<string>>();
  let before = '';
  let index = 0;
  for (const { event_id, ad_id, clicked_at, partition, offset } of clicks) {
    const record = `${partition}|${offset}`;
    index = record === before ? index + 1 : 0;
    before = record;
    if (kept.has(`${record}|${index}`)) continue;
    const key = `${Math.floor(clicked_at / 60_000) * 60}|${ad_id}`;
    expected.set(key, (expected.get(key) ?? new Set()).add(event_id));
  }
  const newest = new Map<string, { key: string; version: number; clicks: number }>();
  for (const { kind, line } of log.aggregates) {
    if (kind !== 'ad-minute') continue;
    const [minute, ad_id, country, partition, version, count] = JSON.parse(line) as [
      number,
      string,
      string,
      number,
      number,
      number,
    ];
    const cell = `${minute}|${ad_id}|${country}|${partition}`;
    if ((newest.get(cell)?.version ?? -1) < version)
      newest.set(cell, { key: `${minute}|${ad_id}`, version, clicks: count });
  }
  const counted = new Map<string, number>();
  for (const { key, clicks: count } of newest.values()) counted.set(key, (counted.get(key) ?? 0) + count);
  return failures(
    'I4 counts equal the distinct clicks of the log',
    [...new Set([...expected.keys(), ...counted.keys()])],
    key => (expected.get(key)?.size ?? 0) !== (counted.get(key) ?? 0),
    key => `${key}: ${counted.get(key) ?? 0} instead of ${expected.get(key)?.size ?? 0}`,
  );
}

function progressIsTrue({ clicks, aggregates }: WholeLog, partitions: number): string[] {
  const problems: string[] = [];
  for (let partition = 0; partition < partitions; partition++) {
    const lines = clicks.filter(line => line.partition === partition);
    const last = aggregates.findLast(line => line.kind === 'progress' && line.partition === partition)?.line;
    if (last === undefined) {
      if (lines.length > 0) problems.push(`I8: partition ${partition} has ${lines.length} clicks and no progress`);
      continue;
    }
    const row = JSON.parse(last) as Record<'position' | 'received' | 'counted' | 'duplicates' | 'quarantined', number>;
    const read = lines.filter(({ offset }) => offset < row.position).length;
    if (read < lines.length) problems.push(`I8: partition ${partition} is read to ${read} of ${lines.length} clicks`);
    if (row.received !== read) problems.push(`I5: partition ${partition} received ${row.received} of ${read} lines`);
    if (row.received !== row.counted + row.duplicates + row.quarantined) problems.push(`I5 counters: ${last}`);
  }
  return problems;
}
