/**
 * Writes the rows of the active job runner into the log. Each call is one transaction. ClickHouse shows its rows only
 * after the commit, in the order in which they were written.
 *
 * A job log lasts for one term. Opening it fences every earlier runner. After a failure nothing more is
 * written, because only the next term can find out how that transaction has ended.
 */
import { judgedFormat } from '../../aggregator/ad-minute.ts';
import {
  type JobRecordKind,
  jobRecordFormat,
  type RequestKind,
  type SealRow,
  sealKey,
} from '../../aggregator/job-records.ts';
import type { RestatedRow } from '../../aggregator/restatement.ts';
import type { KafkaClient } from '../../infra/kafka/client.ts';
import { formatHeader } from '../../infra/kafka/record-contract.ts';
import { type BinaryRecord, type Send, sendsOf } from '../../infra/kafka/sends.ts';
import { openTransactionalProducer, type TransactionalProducer } from '../../infra/kafka/transactional-producer.ts';
import type { Names } from '../../infra/topics.ts';

/** Rows of the table that the kind names (aggregator/job-records.ts). */
export interface JobEntry {
  readonly kind: JobRecordKind;
  readonly rows: readonly object[];
}

export interface JobLog {
  /**
   * Writes all rows or none, behind everything that was written before.
   * @throws Fenced when another runner is active, or the outcome is unknown. Then the term is over
   */
  write(entries: readonly JobEntry[]): Promise<void>;
}

export interface OpenedJobLog extends JobLog, AsyncDisposable {}

/** Opens a term. @throws Retryable when the brokers are away */
export async function openJobLog(kafka: KafkaClient, names: Names): Promise<OpenedJobLog> {
  return jobLogOver(await openTransactionalProducer(kafka, names.jobRunner, limits), names);
}

export function jobLogOver(producer: TransactionalProducer, names: Names): OpenedJobLog {
  let before: Promise<unknown> = Promise.resolve();
  return {
    // Calls run one after another, because a producer has one transaction at a time.
    write(entries) {
      const sends = transactionSends(entries, names);
      if (sends.length === 0) return Promise.resolve();
      const written = before.then(() => producer.commit({ sends }));
      before = written.catch(() => undefined);
      return written;
    },
    async [Symbol.asyncDispose]() {
      await before;
      await producer[Symbol.asyncDispose]();
    },
  };
}

export function transactionSends(entries: readonly JobEntry[], names: Names): Send[] {
  const isSeal = ({ kind }: JobEntry) => kind === 'seal';
  return [
    ...sendsOf(names.topic('seals'), entries.filter(isSeal).flatMap(recordsOf)),
    ...sendsOf(names.topic('job-results'), entries.filter(entry => !isSeal(entry)).flatMap(recordsOf)),
  ];
}

/**
 * Returns records of about 256 KB. In compacted topics, each record has one row, and the key of that row.
 */
export function recordsOf({
  kind,
  rows,
}: {
  readonly kind: JobRecordKind | RequestKind;
  readonly rows: readonly object[];
}): BinaryRecord[] {
  if (kind === 'ad-minute') return restatedRecords(rows as readonly RestatedRow[]);
  const keyOf = keys[kind];
  if (keyOf === undefined) return recordsIn(kind, rows);
  return rows.map(row => ({ ...recordOf(kind, lineOf(row)), key: keyOf(row) }));
}

/**
 * Long enough for the largest transaction. A runner that is succeeded does not delay the next one, because opening the
 * next term ends its transaction.
 */
const limits = { timeoutMs: 60_000, patienceMs: 50_000 };

const recordBytes = 256 << 10;

const keys: Partial<Record<JobRecordKind | RequestKind, (row: object) => string>> = {
  seal: row => sealKey(row as SealRow),
  filter: row => (row as { id: string }).id,
  // It has another key, and keeps its own `seq`. So it neither wins over a filter that was put meanwhile, nor makes
  // compaction remove that filter.
  'former-filter': row => `former/${(row as { id: string }).id}`,
};

/**
 * Each record has rows of one partition of `clicks`, so that a node of a shard can take only those of its partitions.
 * Rows that were judged by rules have a format of their own, which the release before halts at.
 */
function restatedRecords(rows: readonly RestatedRow[]): BinaryRecord[] {
  const records = Map.groupBy(rows, ({ partition, rules }) => `${partition} ${rules > 0}`);
  return [...records.values()].flatMap(of => {
    const [{ partition, rules }] = of as [RestatedRow];
    const lines = of.map(row => {
      const counted = [
        row.minute,
        row.ad_id,
        row.country,
        partition,
        row.version,
        row.clicks,
        row.duplicates,
        row.late,
      ];
      return rules > 0 ? [...counted, row.rules, row.invalid, row.invalid_by] : counted;
    });
    const format = rules > 0 ? formatHeader(judgedFormat) : {};
    return recordsIn('ad-minute', lines, { partition: String(partition), ...format });
  });
}

function recordsIn(kind: string, rows: readonly object[], headers: Readonly<Record<string, string>> = {}) {
  const records: BinaryRecord[] = [];
  let lines = '';
  for (const [i, row] of rows.entries()) {
    lines += lineOf(row);
    if (lines.length < recordBytes && i < rows.length - 1) continue;
    records.push(recordOf(kind, lines, headers));
    lines = '';
  }
  return records;
}

function lineOf(row: object): string {
  return `${JSON.stringify(row)}\n`;
}

function recordOf(kind: string, lines: string, headers: Readonly<Record<string, string>> = {}): BinaryRecord {
  return { partition: 0, value: Buffer.from(lines), headers: { kind, ...formatHeader(jobRecordFormat), ...headers } };
}
