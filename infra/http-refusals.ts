/**
 * Counts requests and connections that were refused because of what their client did or because there was no room, by
 * reason.
 */
import { counter } from './metrics.ts';

const refused = counter('refused_requests_total', 'Requests and connections that were refused, by reason', ['reason']);

/** Codes of problems. Others are what a request is answered with, and not a refusal to deal with it. */
const reasons = [
  'unknown_host',
  'rate_limited',
  'unauthorized',
  'forbidden',
  'wrong_region',
  'wrong_keys',
  'cross_site',
  'busy',
  'client_busy',
  'body_too_slow',
  'body_evicted',
  'request_timeout',
  'header_too_large',
  'tls_handshake',
  'too_many_connections',
  'client_connections',
  'too_many_listeners',
  'client_listeners',
  'exports_busy',
  'client_exports',
  'client_jobs',
  'client_raw_reads',
  'key_rate_limited',
  'key_busy',
  'key_connections',
  'key_open_jobs',
  'key_exports',
  'key_listeners',
  'key_raw_reads',
] as const;
const known: ReadonlySet<string> = new Set(reasons);
for (const reason of reasons) refused.inc({ reason }, 0);

export function countRefusal(code: string): void {
  if (known.has(code)) refused.inc({ reason: code });
}
