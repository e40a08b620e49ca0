/** The rows of ClickHouse's tables in records of topics `aggregates` and `quarantine`: told by header `kind`, copied as they are. */
import { Corrupt } from '../../infra/errors.ts';
import type { FetchedBatch } from '../../infra/kafka/group-consumer.ts';
import { recordContract } from '../../infra/kafka/record-contract.ts';
import { recordKinds, rowFormats } from '../ad-minute.ts';
import type { TableRows } from './table-rows.ts';

/** What this release reads of these topics. */
export const rowContract = recordContract(rowFormats);

/** Of records that are known. @throws Corrupt for one without a value */
export function aggregateRows({
  topic,
  partition,
  records,
}: Pick<FetchedBatch, 'topic' | 'partition' | 'records'>): TableRows {
  const rowsOf = new Map<string, Buffer[]>(Object.values(recordKinds).map(kind => [kind, []]));
  for (const { offset, headers, value } of records) {
    const rows = rowsOf.get(String(headers?.['kind']));
    if (value === null || rows === undefined)
      throw new Corrupt(`${topic}[${partition}], offset ${offset}: holds no rows`);
    rows.push(value);
  }
  const of = (kind: string) => rowsOf.get(kind) ?? [];
  // The order of insertion: progress comes after all it covers. A view takes ad_minute on into ad_minute_by_ad.
  return new Map([
    ['ad_minute', of(recordKinds.adMinute)],
    ['quarantine', of(recordKinds.quarantine)],
    ['partition_progress', of(recordKinds.progress)],
  ]);
}
