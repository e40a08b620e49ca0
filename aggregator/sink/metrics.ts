/** Defines the sink's metrics. */
import { counter, gauge, histogram } from '../../infra/metrics.ts';

export const insertSeconds = histogram('sink_insert_seconds', 'Duration of an insert', ['node', 'table']);
export const rowBytes = counter('sink_inserted_bytes_total', 'Bytes of rows inserted', ['node', 'table']);
export const insertRetries = counter('sink_insert_retries_total', 'Inserts that had to be repeated', ['node', 'table']);
export const refusedLines = counter(
  'sink_refused_lines_total',
  'Lines that ClickHouse refused although they are valid clicks',
);
export const halted = gauge(
  'sink_halted',
  '1 while the sink is halted, because the log no longer contains the next rows, or because ClickHouse does not accept them',
  ['group'],
);
export const erasureDelay = gauge(
  'erasure_delay_seconds',
  'For how long the oldest erasure of a person has been asked for that this node has not done yet; 0: all are done',
  ['node'],
);
export const position = gauge('sink_position', 'Offset of the next record to insert', ['node', 'topic', 'partition']);
export const nodeClockAhead = gauge(
  'node_clock_ahead_seconds',
  'How far the clock of a ClickHouse node is ahead of that of this sink, asked once a minute; negative: behind',
  ['node'],
);
