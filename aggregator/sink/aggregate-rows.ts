/** The rows of ClickHouse's tables in records of topics `aggregates` and `quarantine`: told by header `kind`, copied as they are. */
import type { LogRecord } from '../../infra/kafka/record-batch.ts';
import { recordKinds } from '../ad-minute.ts';
import type { TableRows } from './batch-inserter.ts';

/** @returns rows by table, and how many records were of no known kind */
export function aggregateRows(records: Iterable<LogRecord>): { rows: TableRows; unknown: number } {
  const adMinute: Buffer[] = [];
  const quarantine: Buffer[] = [];
  const progress: Buffer[] = [];
  let unknown = 0;
  for (const { headers, value } of records) {
    const kind = String(headers?.['kind'] ?? '');
    if (value === null) unknown++;
    else if (kind === recordKinds.adMinute) adMinute.push(value);
    else if (kind === recordKinds.quarantine) quarantine.push(value);
    else if (kind === recordKinds.progress) progress.push(value);
    else unknown++;
  }
  // The order of insertion: progress comes after all it covers. A view takes ad_minute on into ad_minute_by_ad.
  return {
    rows: new Map([
      ['ad_minute', adMinute],
      ['quarantine', quarantine],
      ['partition_progress', progress],
    ]),
    unknown,
  };
}
