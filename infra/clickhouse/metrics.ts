/** Defines the metrics of reads, by their kind (reads.ts). */
import { counter, gauge } from '../metrics.ts';

export const readsRunning = gauge(
  'clickhouse_reads_running',
  'Reads that are running, by kind; for raw reads, the number of requests',
  ['kind'],
);
export const readsWaiting = gauge(
  'clickhouse_reads_waiting',
  'Reads that wait to run, by kind; for raw reads, the number of requests',
  ['kind'],
);
export const readsCancelled = counter(
  'clickhouse_reads_cancelled_total',
  'Reads that were ended in the server because the client had gone (gone) or the time for the answer was over (late)',
  ['kind', 'why'],
);
export const readsRefused = counter(
  'clickhouse_reads_refused_total',
  'Reads that never began because too many reads waited in total (full) or for one client (share), or because their turn did not come in time (waited)',
  ['kind', 'why'],
);
