/**
 * What each route does with the key of a tenant that has the scopes: it answers for the tenant's ads alone, or it refuses
 * for a reason. Keys of tenants have no scope `operate` or `admin`, so the other routes are refused in any case.
 */
export const forTenants: Readonly<Record<string, 'limited' | RegExp>> = {
  'POST /v1/clicks': 'limited',
  'GET /v1/ads': 'limited',
  'GET /v1/ads/:ad_id/aggregated_count': 'limited',
  'GET /v1/ads/:ad_id/restatements': 'limited',
  'GET /v1/ads/:ad_id/series': 'limited',
  'GET /v1/ads/countries': 'limited',
  'GET /v1/ads/most_clicked': 'limited',
  'GET /v1/ads/popular_ads': 'limited',
  'GET /v1/ads/series': 'limited',
  'GET /v1/clicks/:event_id': 'limited',
  'GET /v1/exports/ad_minutes': 'limited',
  'GET /v1/exports/clicks': 'limited',
  'GET /v1/live': 'limited',
  'GET /v1/quarantine': 'limited',
  'GET /v1/quarantine/export': 'limited',
  'GET /v1/filters': /stored filters are those of all/,
  'GET /v1/filters/:id': /stored filters are those of all/,
  'GET /v1/users/:user_id/export': /the ads of others/,
  'GET /v1/partitions': /about the pipeline/,
  'GET /v1/reconciliations': /the ads of all tenants/,
  'GET /v1/reconciliations/:id': /the ads of all tenants/,
  'GET /v1/replays': /the ads of all tenants/,
  'GET /v1/replays/:id': /the ads of all tenants/,
  'GET /v1/rules': 'limited',
  'GET /v1/status': /how many clicks of all ads/,
};
