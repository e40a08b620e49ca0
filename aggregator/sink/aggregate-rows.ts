/**
 * Reads the rows of ClickHouse's tables from records of topics `aggregates` and `quarantine`. The header `kind` names
 * the table, and the rows are copied unchanged, except quarantined lines of persons who were erased (erased-rows.ts).
 */
import { Corrupt } from '../../infra/errors.ts';
import type { FetchedBatch } from '../../infra/kafka/group-consumer.ts';
import type { LogRecord } from '../../infra/kafka/record-batch.ts';
import { recordContract } from '../../infra/kafka/record-contract.ts';
import { judgedColumns, judgedFormat, recordKinds, rowFormats } from '../ad-minute.ts';
import { type Erased, erasedLine, type LineRow } from './erased-rows.ts';
import type { TableRows } from './table-rows.ts';

/** The kinds and formats of these topics that this release can read. */
export const rowContract = recordContract(rowFormats);

/** Expects known records only. @throws Corrupt for a record without a value */
export function aggregateRows(
  { topic, partition, records }: Pick<FetchedBatch, 'topic' | 'partition' | 'records'>,
  erased: Erased,
): TableRows {
  const rowsOf = new Map<string, Buffer[]>(Object.values(recordKinds).map(kind => [kind, []]));
  const judged: Buffer[] = [];
  for (const { offset, headers, value } of records) {
    const rows = rowsOf.get(String(headers?.['kind']));
    if (value === null || rows === undefined)
      throw new Corrupt(`${topic}[${partition}], offset ${offset}: the record has no rows`);
    (isJudged(headers) ? judged : rows).push(value);
  }
  const of = (kind: string) => rowsOf.get(kind) ?? [];
  // This is the order of insertion, and progress comes after everything that it covers. A view copies ad_minute into
  // ad_minute_by_ad.
  return [
    ['ad_minute', of(recordKinds.adMinute)],
    ['ad_minute', judged, judgedColumns],
    ['quarantine', of(recordKinds.quarantine).map(rows => keptLines(rows, erased))],
    ['partition_progress', of(recordKinds.progress)],
  ];
}

/** Returns whether the rows of a record of counts say what rules have found. Expects a known record. */
export function isJudged(headers: LogRecord['headers']): boolean {
  const isCounts = String(headers?.['kind']) === recordKinds.adMinute;
  return isCounts && String(headers?.['adclicks_format']) === String(judgedFormat);
}

/** Returns the same lines, of which those of erased persons are changed. */
function keptLines(rows: Buffer, erased: Erased): Buffer {
  if (erased.newestUntil === Number.NEGATIVE_INFINITY) return rows;
  const lines = rows.toString().split('\n');
  let isChanged = false;
  const kept = lines.map(line => {
    if (line === '') return line;
    const row = JSON.parse(line) as LineRow;
    const changed = erasedLine(row, erased);
    if (changed === undefined) return line;
    isChanged = true;
    return JSON.stringify({ ...row, ...changed });
  });
  return isChanged ? Buffer.from(kept.join('\n')) : rows;
}
