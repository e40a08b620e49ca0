/** Metrics of the audit log. */
import { counter } from '../metrics.ts';
import type { AuditKind } from './audit-record.ts';

export const written = counter('audit_entries_total', 'Entries of the audit log that were written, by kind', ['kind']);
export const failed = counter(
  'audit_failures_total',
  'Records of the audit log that could not be written: `before`, and the request was refused; `after`, and the log does not say how it ended',
  ['when'],
);

const kinds: readonly AuditKind[] = ['act', 'read', 'refused', 'sign-in'];
for (const kind of kinds) written.inc({ kind }, 0);
for (const when of ['before', 'after']) failed.inc({ when }, 0);
