/** Defines the metrics of reads, by their kind (reads.ts). */
import { counter, gauge } from '../metrics.ts';

export const readsRunning = gauge('clickhouse_reads_running', 'Reads that have a place; of raw: requests', ['kind']);
export const readsWaiting = gauge('clickhouse_reads_waiting', 'Reads that wait for a place; of raw: requests', [
  'kind',
]);
export const readsCancelled = counter(
  'clickhouse_reads_cancelled_total',
  'Reads that ended in the server because nobody waited for them any more (gone), or their time was over (late)',
  ['kind', 'why'],
);
export const readsRefused = counter(
  'clickhouse_reads_refused_total',
  'Reads that never began: too many waited, of all (full) or of one client (share), or their turn did not come (waited)',
  ['kind', 'why'],
);
