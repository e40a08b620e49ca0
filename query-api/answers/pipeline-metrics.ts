/**
 * The metrics that say how far the pipeline has come. They are computed at each scrape from the store and Kafka. If one
 * of these does not answer in time, its metrics are absent from that scrape. They are never old values or zero.
 */

import type { Progress } from '../../aggregator/ad-minute.ts';
import { cached } from '../../infra/cached.ts';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { inTime } from '../../infra/in-time.ts';
import { counter, gauge } from '../../infra/metrics.ts';
import type { CountedLog } from '../log/counted-log.ts';
import { nodeAway, nodeLag, nodeUnread } from '../replicas/metrics.ts';
import type { Queries } from '../store/ad-counts.ts';
import { finalityOf } from '../store/finality.ts';
import type { LateClicks } from '../store/late-clicks.ts';
import type { SplitClicks, SplitReading } from '../store/split-clicks.ts';
import type { StoreNodes } from './nodes-status.ts';
import { createOpenTransactions } from './open-transactions.ts';

export interface PipelineMetricsDeps {
  readonly queries: Pick<Queries, 'progress' | 'writtenOff'>;
  readonly clickhouse: Pick<ClickHouse, 'disks'>;
  /** It must answer within a limited time. */
  readonly countedLog: CountedLog;
  readonly nodes?: Pick<StoreNodes, 'list' | 'reports'>;
  readonly lateClicks: () => Promise<LateClicks>;
  readonly splitClicks: SplitReading;
  /** Epoch ms. */
  readonly now: () => number;
  /** Milliseconds of a clock that does not go back. */
  readonly clock?: () => number;
}

/** Returns a function to call before each scrape. It never rejects, and takes no longer than the answers it waits for. */
export function createPipelineMetrics({
  queries,
  clickhouse,
  countedLog,
  nodes,
  lateClicks,
  splitClicks,
  now,
  clock = () => performance.now(),
}: PipelineMetricsDeps): () => Promise<void> {
  const progress = cached(() => inTime(queries.progress()), 1_000, clock);
  const writtenOff = cached(() => inTime(queries.writtenOff()), 1_000, clock);
  const disks = cached(() => inTime(clickhouse.disks()), 1_000, clock);
  const transactions = createOpenTransactions();
  const split = async () => await splitClicks(finalityOf(await progress()).finalUntil);
  /** In this order: what has come between the two is nothing that is held back. */
  const sinksAndEnds = async () => {
    const sinks = await orUndefined((countedLog.nodePositions ?? countedLog.sinkPositions)());
    return [sinks, await orUndefined(countedLog.highWatermarks?.() ?? Promise.reject(new Error('unknown')))] as const;
  };
  return async () => {
    const [rows, off, ends, [sinks, written], space, late, waiting] = await Promise.all([
      orUndefined(progress()),
      orUndefined(writtenOff()),
      orUndefined(countedLog.endOffsets()),
      sinksAndEnds(),
      orUndefined(disks()),
      orUndefined(inTime(lateClicks())),
      orUndefined(inTime(split())),
    ]);
    for (const metric of measured) metric.reset();
    setLate(late);
    setSplit(waiting);
    setNodes(nodes, rows !== undefined);
    for (const { name, freeBytes, sizeBytes } of space ?? []) {
      diskFree.set({ disk: name }, freeBytes);
      diskSize.set({ disk: name }, sizeBytes);
    }
    for (const row of rows ?? []) setProgress(row, now());
    if (rows && off) {
      for (const row of rows) missing.set({ partition: row.partition }, row.missing - (off.get(row.partition) ?? 0));
    }
    if (rows && ends) setLag(rows, ends);
    if (sinks && written) transactions.see(sinks, written, clock());
    else transactions.forget();
    for (const { group, topic, partition, position, end } of sinks ?? []) {
      sinkLagRecords.set({ group, topic, partition }, Math.max(0, end - position));
    }
  };
}

const lagRecords = gauge('lag_records', 'Records of topic clicks that the store has not counted yet', ['partition']);
const beyondLog = gauge(
  'counted_beyond_log_records',
  'How many records topic clicks is shorter than what the store has counted of it; 0: it has all of them',
  ['partition'],
);
const lagSeconds = gauge(
  'lag_seconds',
  'Now minus the watermark, as the store has it. +Inf if the partition has records and was never counted',
  ['partition'],
);
const lines = counter('store_lines_total', 'Lines since the beginning of the log, as the store has counted them', [
  'partition',
  'outcome',
]);
const acknowledged = counter(
  'store_acknowledged_lines_total',
  'Lines since the beginning of the log that the brokers acknowledged to ingest, as the store has counted them',
  ['partition'],
);
const missing = gauge(
  'missing_clicks',
  'Lines that were acknowledged and are not in the log, without those that are written off',
  ['partition'],
);
const sinkLagRecords = gauge(
  'sink_lag_records',
  'Records that are not in the store: the end of what can be read (for topics with transactions, the last stable offset) minus the committed offset',
  ['group', 'topic', 'partition'],
);
const diskFree = gauge(
  'disk_free_bytes',
  'Free bytes of the disk to which the store (and the embedded broker) writes',
  ['disk'],
);
const diskSize = gauge('disk_size_bytes', 'Size of the disk to which the store (and the embedded broker) writes', [
  'disk',
]);

/** Each has a value only for what is there now. */
const measured = [
  ...[lines, acknowledged, missing, lagSeconds, lagRecords, beyondLog, sinkLagRecords, diskFree, diskSize],
];

function setLag(rows: readonly Progress[], ends: ReadonlyMap<number, number>): void {
  const positions = new Map(rows.map(row => [row.partition, row.position]));
  const dated = new Set(rows.filter(({ watermark }) => watermark > 0).map(row => row.partition));
  for (const [partition, end] of ends) {
    const position = positions.get(partition) ?? 0;
    const unread = Math.max(0, end - position);
    lagRecords.set({ partition }, unread);
    beyondLog.set({ partition }, Math.max(0, position - end));
    // Without a value, a partition that nobody has ever counted would be missing in every alert about lag.
    if (unread > 0 && !dated.has(partition)) lagSeconds.set({ partition }, Number.POSITIVE_INFINITY);
  }
}

const lateMinutes = gauge('late_minutes', 'Final minutes with late clicks that are in no count yet');
const lateClicksWaiting = gauge('late_clicks_waiting', 'Late clicks that wait for their restatement');
const lateClicksSince = gauge(
  'late_clicks_waiting_since_timestamp_seconds',
  'When the late click came that has waited longest. 0: no late click waits',
);

function setLate(late: LateClicks | undefined): void {
  if (late === undefined) {
    for (const metric of [lateMinutes, lateClicksWaiting, lateClicksSince]) metric.remove();
    return;
  }
  lateMinutes.set(late.minutes);
  lateClicksWaiting.set(late.clicks);
  lateClicksSince.set((late.since ?? 0) / 1_000);
}

const splitMinutes = gauge(
  'split_minutes',
  'Final minutes of split ads that wait for the restatement in which caps apply to all partitions together',
);
const splitMinutesSince = gauge(
  'split_minutes_since_timestamp_seconds',
  'The minute of split ads that has waited longest. 0: none waits',
);

function setSplit(split: SplitClicks | undefined): void {
  if (split === undefined) {
    for (const metric of [splitMinutes, splitMinutesSince]) metric.remove();
    return;
  }
  splitMinutes.set(split.minutes.length);
  splitMinutesSince.set((split.minutes[0] ?? 0) / 1_000);
}

/** Nothing watches a node that is the only one. It counts as available if it has just answered. */
function setNodes(nodes: PipelineMetricsDeps['nodes'], hasAnswered: boolean): void {
  const reports = nodes?.reports() ?? [];
  for (const { name: node } of nodes?.list ?? []) {
    const report = reports.find(report => report.node === node);
    const state = report?.state ?? (hasAnswered ? 'reading' : 'away');
    nodeAway.set({ node }, state === 'away' ? 1 : 0);
    nodeUnread.set({ node }, state === 'reading' || state === 'ready' ? 0 : 1);
    const lagMs = report === undefined ? 0 : (report.lagMs ?? Number.POSITIVE_INFINITY);
    nodeLag.set({ node }, lagMs / 1_000);
  }
}

function setProgress(row: Progress, now: number): void {
  const { partition, watermark } = row;
  // 0 means that nothing is known yet.
  if (watermark > 0) lagSeconds.set({ partition }, (now - watermark) / 1_000);
  for (const outcome of ['received', 'counted', 'duplicates', 'quarantined'] as const) {
    lines.inc({ partition, outcome }, row[outcome]);
  }
  acknowledged.inc({ partition }, row.acknowledged);
}

function orUndefined<T>(answer: Promise<T>): Promise<T | undefined> {
  return answer.catch(() => undefined);
}
