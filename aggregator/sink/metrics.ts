/** Defines the sink's metrics. */
import { counter, gauge, histogram } from '../../infra/metrics.ts';

export const insertSeconds = histogram('sink_insert_seconds', 'Duration of an insert', ['node', 'table']);
export const rowBytes = counter('sink_inserted_bytes_total', 'Bytes of rows inserted', ['node', 'table']);
export const insertRetries = counter('sink_insert_retries_total', 'Inserts that had to be repeated', ['node', 'table']);
export const refusedLines = counter('sink_refused_lines_total', 'Lines that the store refused though they are clicks');
export const halted = gauge(
  'sink_halted',
  '1 where the log no longer holds what was to be inserted next, or the store does not take it',
  ['group'],
);
export const position = gauge('sink_position', 'Offset of the next record to insert', ['node', 'topic', 'partition']);
