/** The metrics of bulk exports. */
import { counter, gauge } from '../../../infra/metrics.ts';

export const exportBytes = counter('export_bytes_total', 'Bytes read for bulk exports');
export const exportsRunning = gauge('exports_running', 'Bulk exports that are being read');
export const exportsCut = counter(
  'exports_cut_total',
  'Bulk exports cut off: too slow a client (slow), the same where another waited (room), too long (time)',
  ['why'],
);
// What never happened shows as 0, not as nothing.
for (const why of ['slow', 'room', 'time'] as const) exportsCut.inc({ why }, 0);
