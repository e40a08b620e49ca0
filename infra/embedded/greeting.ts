/**
 * Prints the last message of `npm start`: where things are, and three lines to paste that show a click arrive at the
 * other end.
 */

export interface Greeting {
  readonly ingestUrl: string;
  readonly queryApiUrl: string;
  readonly brokers: string;
  /** Its address, and how to sign in. */
  readonly clickHouse: string;
  readonly dataDir: string;
  readonly tookMs: number;
  readonly nowMs: number;
}

const minuteMs = 60_000;

export function greeting({ ingestUrl, queryApiUrl, brokers, clickHouse, dataDir, tookMs, nowMs }: Greeting): string {
  // The shell inserts the time of the click when the line is pasted, and the range contains it for the next hour.
  const now = `'$(date +%s000)'`;
  const click = `{"ad_id":"ad-1","event_id":"try-${now}","clicked_at":${now},"country":"KR"}`;
  const fromMs = Math.floor(nowMs / minuteMs) * minuteMs;
  const range = `from=${isoMinute(fromMs)}&to=${isoMinute(fromMs + 60 * minuteMs)}`;
  return `
ready in ${(tookMs / 1_000).toFixed(1)} s

  dashboard   ${queryApiUrl}/
  query API   ${queryApiUrl}/docs
  status      ${queryApiUrl}/v1/status
  ingest      ${ingestUrl}/v1/clicks
  Kafka       ${brokers}
  ClickHouse  ${clickHouse}
  data        ${dataDir}

Try it: post a click, read its count, read the top list.

  curl -s '${ingestUrl}/v1/clicks' -H 'content-type: application/json' -d '${click}'
  curl -s '${queryApiUrl}/v1/ads/ad-1/aggregated_count?${range}'
  curl -s '${queryApiUrl}/v1/ads/popular_ads?count=10&${range}'

Ctrl-C stops everything; accepted clicks are kept.
`;
}

function isoMinute(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
