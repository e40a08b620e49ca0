/**
 * Logs whose requests' clicks a record brings, so that a person can follow one request through the logs
 * (ingest/record-traces.ts).
 */
import type { FetchedBatch } from '../infra/kafka/group-consumer.ts';
import type { LogRecord } from '../infra/kafka/record-batch.ts';
import type { Logger } from '../infra/log.ts';
import { traceIdsOf } from '../ingest/record-traces.ts';

/**
 * Returns the same batch, and logs the traces of each record while it is read. A record is counted once the partition's
 * position is past it.
 */
export function withTracesTold(batch: FetchedBatch, log: Logger): FetchedBatch {
  return { ...batch, records: told(batch, log) };
}

/** Records can be read only once, so they are logged on the way. */
function* told({ partition, records }: FetchedBatch, log: Logger): Generator<LogRecord> {
  for (const record of records) {
    const traceIds = traceIdsOf(record.headers);
    if (traceIds.length > 0) log.debug({ partition, offset: record.offset, trace_ids: traceIds }, 'traced record read');
    yield record;
  }
}
