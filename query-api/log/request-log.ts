/**
 * What people ask for, written into the log by whichever query API they have asked: from there a sink brings it into
 * ClickHouse, as anything else. Not in a transaction: these topics have many writers.
 */
import type { RequestKind } from '../../aggregator/job-records.ts';
import type { KafkaClient } from '../../infra/kafka/client.ts';
import { createProducer, type Producer } from '../../infra/kafka/producer.ts';
import type { Names, TopicName } from '../../infra/topics.ts';
import { recordsOf } from './job-log.ts';

export interface RequestLog extends AsyncDisposable {
  /**
   * Resolves when all in-sync replicas have the rows.
   * @throws Retryable: they may be in the log, or come into it
   */
  append(kind: RequestKind, rows: readonly object[]): Promise<void>;
}

export function openRequestLog(kafka: KafkaClient, names: Names): RequestLog {
  return requestLogOver(createProducer(kafka, { acks: -1, timeoutMs }), names);
}

export function requestLogOver(
  producer: Pick<Producer, 'send' | typeof Symbol.asyncDispose>,
  names: Names,
): RequestLog {
  return {
    async append(kind, rows) {
      if (rows.length > 0) await producer.send(names.topic(topics[kind]), recordsOf({ kind, rows }));
    },
    [Symbol.asyncDispose]: () => producer[Symbol.asyncDispose](),
  };
}

const timeoutMs = 5_000;

const topics: Readonly<Record<RequestKind, TopicName>> = {
  job: 'job-requests',
  cancellation: 'job-requests',
  filter: 'filters',
  'former-filter': 'filters',
  // By hand only: those of the pipeline itself are in the transactions of who runs the jobs.
  seal: 'write-offs',
};
