/** Writes the records of the audit log into topic `audit`. */
import type { KafkaClient } from '../kafka/client.ts';
import { createProducer } from '../kafka/producer.ts';
import type { Names } from '../topics.ts';
import { type AuditEntry, auditRecord } from './audit-record.ts';

export interface AuditLog extends AsyncDisposable {
  /** Resolves when all in-sync replicas have it. @throws Retryable when it may be in the log, or come into it */
  append(entry: AuditEntry): Promise<void>;
}

export function openAuditLog(kafka: KafkaClient, names: Names): AuditLog {
  const producer = createProducer(kafka, { acks: -1, timeoutMs: 5_000 });
  return {
    append: entry => producer.send(names.topic('audit'), [auditRecord(entry)]),
    [Symbol.asyncDispose]: () => producer[Symbol.asyncDispose](),
  };
}
