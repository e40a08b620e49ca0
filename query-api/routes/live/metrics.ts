import { counter, gauge } from '../../../infra/metrics.ts';

export const liveClients = gauge('query_api_live_clients', 'clients that listen to /v1/live');
export const liveLeft = counter('query_api_live_left_total', 'clients that no longer do, and why', ['why']);
// What never happened shows as 0, not as nothing.
for (const why of ['gone', 'slow', 'room', 'closed'] as const) liveLeft.inc({ why }, 0);
