/** An audit log for tests, in memory: the trail that processes use, over a log that can be away. */
import { pino } from 'pino';
import { type AuditEntry, auditRecord } from '../../infra/audit/audit-record.ts';
import { type AuditTrail, openAuditTrail } from '../../infra/audit/audit-trail.ts';
import { Retryable } from '../../infra/errors.ts';

export interface AuditInMemory {
  readonly trail: AuditTrail;
  /** Every record, in order. */
  readonly written: AuditEntry[];
  /** While it is set, nothing can be written. */
  isAway: boolean;
  /** Epoch ms. */
  now: number;
  /** All records as they would be in Kafka. */
  text(): string;
}

export function auditInMemory(): AuditInMemory {
  const written: AuditEntry[] = [];
  const audit: AuditInMemory = {
    trail: openAuditTrail(
      {
        async append(entry) {
          await new Promise(resolve => setImmediate(resolve));
          if (audit.isAway) throw new Retryable('produce to audit: no broker answers');
          written.push(entry);
        },
        [Symbol.asyncDispose]: async () => undefined,
      },
      { log: pino({ level: 'silent' }), now: () => audit.now },
    ),
    written,
    isAway: false,
    now: Date.now(),
    text: () => written.map(entry => String(auditRecord(entry).value)).join(''),
  };
  return audit;
}
