/** Metrics of TLS. They are 0 where a server does not speak it. */
import { counter, gauge } from '../metrics.ts';

export const expiresAt = gauge(
  'tls_certificate_expires_timestamp_seconds',
  'When the certificate expires that the server uses',
);
export const isRefused = gauge(
  'tls_certificate_refused',
  '1 while the files of the certificate cannot be used, and the former one is in force',
);
export const reloads = counter('tls_reloads_total', 'Changes of the certificate files, by outcome', ['outcome']);
for (const outcome of ['taken', 'refused']) reloads.inc({ outcome }, 0);
