/**
 * Defines and updates the aggregator's metrics. Clicks are counted when their transaction is committed, not when they
 * are read.
 */
import { type Corrupt, UnknownFormat } from '../infra/errors.ts';
import { unknownFormats } from '../infra/kafka/record-contract.ts';
import { counter, gauge, histogram } from '../infra/metrics.ts';
import type { AckTotals } from './core/acknowledgements.ts';
import type { Checkpoint, Totals } from './core/checkpoint.ts';
import type { Output } from './core/output.ts';
import type { PartitionAggregator } from './core/partition-aggregator.ts';

const lines = counter('aggregator_lines_total', 'Lines in committed transactions, by outcome', ['outcome']);
const setAside = counter(
  'aggregator_quarantined_lines_total',
  'Lines that were put into quarantine in committed transactions, by reason',
  ['reason'],
);
for (const reason of ['malformed', 'future', 'too_late'] as const) setAside.inc({ reason }, 0);
const rows = counter('aggregator_rows_total', 'Rows written to topic aggregates');
const commitSeconds = histogram('aggregator_commit_seconds', 'Duration of a commit');
const position = gauge('aggregator_position', 'Offset of the next record to count', ['partition']);
const watermark = gauge(
  'aggregator_watermark_timestamp_seconds',
  'The watermark as a Unix time: clicks older than this are no longer expected',
  ['partition'],
);
const windows = gauge('aggregator_open_windows', 'Minutes that are not final yet', ['partition']);
const ids = gauge('aggregator_open_clicks', 'Distinct clicks in minutes that are not final yet', ['partition']);
const bytes = gauge('aggregator_state_bytes', 'Bytes of memory used for minutes that are not final yet', ['partition']);

const acks = counter(
  'aggregator_acknowledged_lines_total',
  'Lines in batches whose outcome the writer has reported: acknowledged, missing (acknowledged but not in the log), repeated (in the log twice)',
  ['outcome'],
);
const unreadable = counter(
  'aggregator_unreadable_acks_total',
  'Records whose header with acknowledgements could not be read',
);
for (const outcome of ['acknowledged', 'missing', 'repeated'] as const) acks.inc({ outcome }, 0);
const restores = counter('aggregator_restores_total', 'How often a partition was rebuilt from the log');
export const restarts = counter(
  'aggregator_task_restarts_total',
  'How often a task started again because a commit had failed',
);
export const ticks = counter('aggregator_ticks_total', 'Ticks appended to idle partitions');
const halted = gauge('aggregator_halted', '1 while the partition is halted until a person decides what to do', [
  'partition',
]);

const waitingForRules = gauge(
  'aggregator_waits_for_rules',
  '1 while the partition is not counted on because the rules of invalid traffic of a minute are not known yet (topic hot-ads)',
  ['partition'],
);

const seen = new Map<number, { readonly totals: Totals; readonly acks: AckTotals }>();
/** Is called when the partition waits for a person's decision, or for a newer release. */
export function halt(topic: string, partition: number, error: Corrupt): void {
  if (error instanceof UnknownFormat) unknownFormats.set(placeOf(topic, partition), 1);
  else halted.set({ partition: String(partition) }, 1);
}

/** Is called when the partition is counted from here on. What `from` contains was committed before. */
export function restored(topic: string, partition: number, from: Pick<Checkpoint, 'totals' | 'acks'>): void {
  seen.set(partition, { totals: from.totals, acks: from.acks });
  restores.inc();
  halted.set({ partition: String(partition) }, 0);
  waitsForRules(partition, false);
  unknownFormats.set(placeOf(topic, partition), 0);
}

export function waitsForRules(partition: number, waits: boolean): void {
  waitingForRules.set({ partition: String(partition) }, waits ? 1 : 0);
}

/** Is called after a commit that took `ms`. */
export function committed(output: Output, state: PartitionAggregator['state'], ms: number): void {
  const { progress, checkpoint } = output;
  const partition = String(progress.partition);
  const before = seen.get(progress.partition) ?? checkpoint;
  for (const outcome of ['counted', 'duplicates', 'quarantined'] as const) {
    lines.inc({ outcome }, checkpoint.totals[outcome] - before.totals[outcome]);
  }
  for (const [reason, { length }] of Map.groupBy(output.quarantined, row => row.reason))
    setAside.inc({ reason }, length);
  for (const outcome of ['acknowledged', 'missing', 'repeated'] as const) {
    acks.inc({ outcome }, checkpoint.acks[outcome] - before.acks[outcome]);
  }
  unreadable.inc(checkpoint.acks.unreadable - before.acks.unreadable);
  seen.set(progress.partition, checkpoint);
  rows.inc(output.rows);
  commitSeconds.observe(ms / 1000);
  position.set({ partition }, output.position);
  watermark.set({ partition }, progress.watermark / 1000);
  windows.set({ partition }, state.windows);
  ids.set({ partition }, state.ids);
  bytes.set({ partition }, state.bytes);
}

/** Is called when the partition is no longer counted here. */
export function forget(topic: string, partition: number): void {
  seen.delete(partition);
  for (const metric of [position, watermark, windows, ids, bytes, halted, waitingForRules])
    metric.remove({ partition: String(partition) });
  unknownFormats.remove(placeOf(topic, partition));
}

function placeOf(topic: string, partition: number) {
  return { reader: 'aggregator', topic, partition: String(partition) };
}
