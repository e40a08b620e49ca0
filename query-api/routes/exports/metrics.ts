/** The metrics of bulk exports. */
import { counter, gauge } from '../../../infra/metrics.ts';

export const exportBytes = counter('export_bytes_total', 'Bytes read for bulk exports');
export const exportsRunning = gauge('exports_running', 'Bulk exports that are running');
export const exportsCut = counter(
  'exports_cut_total',
  'Bulk exports that were cut off because the client was too slow (slow), because it was slow while another client waited (room), or because they took too long (time)',
  ['why'],
);
// A reason that has not occurred is shown as 0 instead of being absent.
for (const why of ['slow', 'room', 'time'] as const) exportsCut.inc({ why }, 0);
