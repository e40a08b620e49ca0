/**
 * Reads the rows of ClickHouse's tables from the records of jobs and people (job-records.ts), in the order of
 * insertion.
 */
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { Corrupt } from '../../infra/errors.ts';
import type { FetchedBatch } from '../../infra/kafka/group-consumer.ts';
import type { LogRecord } from '../../infra/kafka/record-batch.ts';
import { recordContract } from '../../infra/kafka/record-contract.ts';
import { judgedColumns } from '../ad-minute.ts';
import { filterSeqAt, jobRecordFormats, rowSteps } from '../job-records.ts';
import { isJudged } from './aggregate-rows.ts';
import type { TableRows } from './table-rows.ts';

/** The kinds and formats of these topics that this release can read. */
export const resultContract = recordContract(jobRecordFormats);

/**
 * Expects known records only. Of restated counts, it returns those whose partition of `clicks` the node `holds`. All
 * other rows go to every node. @throws Corrupt for a record without rows, or for counts that do not name their
 * partition
 */
export function resultRows(
  { topic, partition, records }: Pick<FetchedBatch, 'topic' | 'partition' | 'records'>,
  holds: (partition: number) => boolean,
): TableRows {
  const rowsOf = new Map<string, Buffer[]>(rowSteps.map(({ kind }) => [kind, []]));
  const judged: Buffer[] = [];
  for (const { offset, headers, value } of records) {
    const kind = String(headers?.['kind']);
    const rows = rowsOf.get(kind);
    const place = `${topic}[${partition}], offset ${offset}`;
    if (value === null || rows === undefined) throw new Corrupt(`${place}: the record has no rows`);
    if (kind === 'ad-minute' && !holds(countedPartition(headers, place))) continue;
    if (isJudged(headers)) judged.push(value);
    else rows.push(kind === 'filter' ? filterRowAt(offset, value, place) : value);
  }
  return rowSteps.flatMap(({ kind, table }): [string, Buffer[], (readonly string[])?][] => {
    const rows: [string, Buffer[]] = [table, rowsOf.get(kind) ?? []];
    return kind === 'ad-minute' ? [rows, [table, judged, judgedColumns]] : [rows];
  });
}

function countedPartition(headers: LogRecord['headers'], place: string): number {
  const said = String(headers?.['partition']);
  if (!/^\d+$/.test(said)) throw new Corrupt(`${place}: header partition="${said}" is not a partition of topic clicks`);
  return Number(said);
}

/** Only what makes it a filter is checked here. ClickHouse checks the other fields, and may know more of them. */
const FilterRow = Type.Object({ id: Type.String({ minLength: 1 }) });

function filterRowAt(offset: number, value: Buffer, place: string): Buffer {
  const row = parsed(value, place);
  if (!Value.Check(FilterRow, row)) throw new Corrupt(`${place}: is not a stored filter`);
  return Buffer.from(`${JSON.stringify({ ...row, seq: filterSeqAt(offset) })}\n`);
}

function parsed(value: Buffer, place: string): unknown {
  try {
    return JSON.parse(value.toString());
  } catch (cause) {
    throw new Corrupt(`${place}: is not a stored filter`, { cause });
  }
}
