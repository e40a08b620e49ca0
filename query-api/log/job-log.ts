/**
 * What the job runner in office writes into the log: each call is one transaction, visible in ClickHouse only once it
 * is committed, in the order in which it was written. It lasts for one term of office: to open it fences every earlier
 * runner, and after any failure nothing more is written, since the outcome of that transaction is for the next term to
 * see.
 */
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
   * All or nothing, behind everything that was written before.
   * @throws Fenced: another runner has the office, or the outcome is unknown. The term is over
   */
  write(entries: readonly JobEntry[]): Promise<void>;
}

export interface OpenedJobLog extends JobLog, AsyncDisposable {}

/** Opens a term of office. @throws Retryable where the brokers are away */
export async function openJobLog(kafka: KafkaClient, names: Names): Promise<OpenedJobLog> {
  return jobLogOver(await openTransactionalProducer(kafka, names.jobRunner, limits), names);
}

export function jobLogOver(producer: TransactionalProducer, names: Names): OpenedJobLog {
  let before: Promise<unknown> = Promise.resolve();
  return {
    // One after another: a producer has one transaction at a time.
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

/** Records of at most 256 KB, or of one row; in compacted topics, of one row each under its key. */
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

/** Long enough for the largest transaction. Who is succeeded holds nobody up: to open the next term ends his transaction. */
const limits = { timeoutMs: 60_000, patienceMs: 50_000 };

const recordBytes = 256 << 10;

const keys: Partial<Record<JobRecordKind | RequestKind, (row: object) => string>> = {
  seal: row => sealKey(row as SealRow),
  filter: row => (row as { id: string }).id,
  // Under a key of its own, and with its own `seq`: what was put meanwhile must neither be outdone nor compacted away by it.
  'former-filter': row => `former/${(row as { id: string }).id}`,
};

/** Of each partition of `clicks` apart, so that who keeps some of them takes only theirs. */
function restatedRecords(rows: readonly RestatedRow[]): BinaryRecord[] {
  return [...Map.groupBy(rows, ({ partition }) => partition)].flatMap(([partition, of]) => {
    const lines = of.map(({ minute, ad_id, country, version, clicks, duplicates, late }) => {
      return [minute, ad_id, country, partition, version, clicks, duplicates, late];
    });
    return recordsIn('ad-minute', lines, { partition: String(partition) });
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
  return { partition: 0, value: Buffer.from(lines), headers: { kind, ...headers, ...formatHeader(jobRecordFormat) } };
}
