/** Writes changes of API keys into topic `keys`. */
import type { KafkaClient } from '../kafka/client.ts';
import { createProducer } from '../kafka/producer.ts';
import type { Names } from '../topics.ts';
import { type KeyChange, keyRecord } from './key-record.ts';

export interface KeyLog extends AsyncDisposable {
  /** Resolves when all in-sync replicas have it. @throws Retryable when it may be in the log, or come into it */
  append(change: KeyChange): Promise<void>;
}

export function openKeyLog(kafka: KafkaClient, names: Names): KeyLog {
  const producer = createProducer(kafka, { acks: -1, timeoutMs: 5_000 });
  return {
    append: change => producer.send(names.topic('keys'), [keyRecord(change)]),
    [Symbol.asyncDispose]: () => producer[Symbol.asyncDispose](),
  };
}
