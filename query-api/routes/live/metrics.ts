/** The metrics of GET /v1/live. */
import { counter, gauge } from '../../../infra/metrics.ts';

export const liveClients = gauge('query_api_live_clients', 'Clients that listen to /v1/live');
export const liveLeft = counter('query_api_live_left_total', 'Clients that no longer listen to /v1/live, and why', [
  'why',
]);
// What never happened shows as 0, not as nothing.
for (const why of ['gone', 'slow', 'room', 'closed'] as const) liveLeft.inc({ why }, 0);
