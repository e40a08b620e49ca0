/** The metrics of GET /v1/live. */
import { counter, gauge } from '../../../infra/metrics.ts';

export const liveClients = gauge('query_api_live_clients', 'Clients that listen to /v1/live');
export const liveLeft = counter(
  'query_api_live_left_total',
  'Clients that have stopped listening to /v1/live, by reason',
  ['why'],
);
// A reason that has not occurred is shown as 0 instead of being absent.
for (const why of ['gone', 'slow', 'room', 'closed'] as const) liveLeft.inc({ why }, 0);
