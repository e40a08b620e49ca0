/**
 * Writes requests of people into the log. Each query API does so for the requests that it gets. A sink copies them into
 * ClickHouse, like everything else. They are not written in a transaction, because these topics have many writers.
 */
import type { RequestKind } from '../../aggregator/job-records.ts';
import type { KafkaClient } from '../../infra/kafka/client.ts';
import { createProducer, type Producer } from '../../infra/kafka/producer.ts';
import type { Names, TopicName } from '../../infra/topics.ts';
import { recordsOf } from './job-log.ts';

export interface RequestLog extends AsyncDisposable {
  /**
   * Resolves when all in-sync replicas have the rows.
   * @throws Retryable when it is not known whether the rows are in the log. They may still be written later
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
  // Only seals that a person writes. The job runner writes its seals in its transactions.
  seal: 'write-offs',
};
