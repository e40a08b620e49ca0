/**
 * What the job runner says, in topic `job-results`: in transactions of one transactional id, so that whoever opens it ends
 * the right to write of all before.
 */
import { formatHeader } from '../../infra/kafka/record-contract.ts';
import type { KafkaClient } from '../../infra/kafka/client.ts';
import { openTransactionalProducer } from '../../infra/kafka/transactional-producer.ts';
import type { Names } from '../../infra/topics.ts';

export type JobRecordKind =
  | 'job'
  | 'restatement'
  | 'recounted-minute'
  | 'ad-minute'
  | 'diff'
  | 'minute-recount'
  | 'job-runner'
  | 'conservation-check';

export interface JobEntry {
  readonly kind: JobRecordKind;
  readonly rows: readonly object[];
}

/** What the runner says in one transaction: rows by kind, in the order given. */
export interface JobLog extends AsyncDisposable {
  /**
   * All or nothing, and in order behind everything written before.
   * @throws Fenced: another runner has the office, or the outcome is unknown: the term is over
   */
  write(entries: readonly JobEntry[]): Promise<void>;
}

/** Opens a term of office: fences every earlier runner. */
export async function openJobLog(kafka: KafkaClient, names: Names): Promise<JobLog> {
  const producer = await openTransactionalProducer(kafka, names.jobRunnerId);
  return {
    async write(entries) {
      const records = entries.map(({ kind, rows }) => ({
        partition: 0,
        value: Buffer.from(rows.map(row => `${JSON.stringify(row)}\n`).join('')),
        headers: { kind, ...formatHeader(1) },
      }));
      await producer.commit({
        sends: [{ topic: names.topic('job-results'), records }],
        group: names.jobRunnerGroup,
        topic: names.topic('job-requests'),
        partition: 0,
        commit: { offset: 0, metadata: '' },
      });
    },
    [Symbol.asyncDispose]: () => producer[Symbol.asyncDispose](),
  };
}
