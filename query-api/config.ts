/**
 * Configuration of the query API: key, type, default, bounds and documentation in one place. The table in README.md
 * comes from here.
 */

import { type Static, Type } from 'typebox';
import { explained } from '../infra/broken-rule.ts';
import { ClickHouseConfig, KafkaConfig, ProcessConfig } from '../infra/config.ts';
import { KeysConfig } from '../infra/keys/config.ts';
import { type TrustedProxies, trustedProxies } from '../infra/trusted-proxies.ts';
import { HotAdConfig } from '../ingest/hot-ads/rule.ts';

export const QueryApiConfig = Type.Object({
  ...ProcessConfig.properties,
  ...KafkaConfig.properties,
  ...KeysConfig.properties,
  ...HotAdConfig.properties,
  ...ClickHouseConfig.properties,
  QUERY_API_PORT: Type.Integer({
    default: 8081,
    minimum: 0,
    maximum: 65_535,
    description: 'port of the query API; 0 takes a free one',
  }),
  QUERY_TIMEOUT_MS: Type.Integer({
    default: 10_000,
    minimum: 100,
    maximum: 25_000,
    description: 'ms one read of ClickHouse may take (`max_execution_time`); beyond: 503',
  }),
  QUERY_MAX_RANGE_MINUTES: Type.Integer({
    default: 44_820,
    minimum: 1,
    maximum: 600_000,
    description:
      'minutes one request may ask for (default: 31 days and three hours, for a month in which clocks are put back); beyond: 400',
  }),
  QUERY_READERS: Type.Integer({
    default: 3,
    minimum: 1,
    maximum: 64,
    description: 'reads of counts in a ClickHouse node that run at the same time; further ones wait',
  }),
  REPLICA_MAX_LAG_MS: Type.Integer({
    default: 10_000,
    minimum: 1_000,
    maximum: 120_000,
    description:
      'ms that a ClickHouse node may be behind the furthest of its shard and still be read; where none is that far: 503',
  }),
  QUERY_RAW_READERS: Type.Integer({
    default: 2,
    minimum: 1,
    maximum: 64,
    description:
      'requests for raw clicks (`user_id`, `ip`, `filter`, `uniques`, where a click went, quarantine) that a ClickHouse node works for at the same time, beside reads of counts; further ones wait',
  }),
  QUERY_RAW_READERS_PER_CLIENT: Type.Integer({
    default: 1,
    minimum: 1,
    maximum: 64,
    description: 'of these, those of one client address (of IPv6: a /64); further ones wait',
  }),
  QUERY_RAW_THREADS: Type.Integer({
    default: 1,
    minimum: 1,
    maximum: 256,
    description: 'cores of ClickHouse that one read for such a request may use; they stand back while counts are read',
  }),
  QUERY_MAX_WAITING: Type.Integer({
    default: 128,
    minimum: 1,
    maximum: 10_000,
    description: 'reads of counts, and as many requests for raw clicks, that may wait for their turn; beyond: 503',
  }),
  QUERY_MAX_WAITING_PER_CLIENT: Type.Integer({
    default: 64,
    minimum: 1,
    maximum: 10_000,
    description: 'of these, those of one client address (of IPv6: a /64); beyond: 429',
  }),
  QUERY_QUEUE_TIMEOUT_MS: Type.Integer({
    default: 10_000,
    minimum: 1,
    maximum: 60_000,
    description: 'ms a read may wait for its turn; beyond: 503 with Retry-After',
  }),
  QUERY_ANSWER_TIMEOUT_MS: Type.Integer({
    default: 30_000,
    minimum: 100,
    maximum: 60_000,
    description:
      'ms until an answer begins, whatever it has to read and to wait for; beyond: 503 with Retry-After, and its reads are ended',
  }),
  JOBS_MAX_OPEN: Type.Integer({
    default: 20,
    minimum: 1,
    maximum: 100,
    description: 'replays, and as many reconciliations, that were asked for and wait or run; beyond: 429',
  }),
  EXPORT_MAX_RUNNING: Type.Integer({
    default: 2,
    minimum: 1,
    maximum: 32,
    description: 'bulk exports that run at the same time; beyond: 503',
  }),
  EXPORT_MAX_RUNNING_PER_CLIENT: Type.Integer({
    default: 1,
    minimum: 1,
    maximum: 32,
    description: 'of these, and of exports of quarantine, those of one client address (of IPv6: a /64); beyond: 429',
  }),
  EXPORT_MAX_ROWS: Type.Integer({
    default: 100_000_000,
    minimum: 1,
    maximum: 10_000_000_000,
    description: 'rows of one bulk export; beyond: 400',
  }),
  EXPORT_TIMEOUT_MS: Type.Integer({
    default: 900_000,
    minimum: 1_000,
    maximum: 86_400_000,
    description: 'ms one bulk export may take, with a client that takes its rows; beyond, it breaks off',
  }),
  EXPORT_MIN_BYTES_PER_SECOND: Type.Integer({
    default: 32_768,
    minimum: 0,
    maximum: 1_000_000_000,
    description:
      'bytes of an export (of quarantine, too) that its client must take, over 30 s in which there are some to take; below, it is cut off, and after 5 s already where another waits for its place; 0: no limit',
  }),
  QUERY_API_RATE_LIMIT_PER_MINUTE: Type.Integer({
    default: 30_000,
    minimum: 0,
    maximum: 100_000_000,
    description:
      'requests per minute and client address (of IPv6: a /64), but for health and metrics; beyond: 429 with Retry-After; 0: no limit',
  }),
  QUERY_API_OPS_PORT: Type.Integer({
    default: 0,
    minimum: 0,
    maximum: 65_535,
    description:
      'port of `/healthz`, `/readyz`, `/metrics` and `/openapi.json`, which are on no other then; 0: that of the query API',
  }),
  QUERY_API_LIVE_MAX_CLIENTS: Type.Integer({
    default: 1_000,
    minimum: 0,
    maximum: 50_000,
    description: 'clients that may listen to `/v1/live` at the same time; beyond: 503',
  }),
  QUERY_API_LIVE_MAX_PER_CLIENT: Type.Integer({
    default: 100,
    minimum: 1,
    maximum: 50_000,
    description: 'of these, those of one client address (of IPv6: a /64); beyond: 429',
  }),
  QUERY_API_LIVE_BUFFER_BYTES: Type.Integer({
    default: 524_288,
    minimum: 65_536,
    maximum: 67_108_864,
    description: 'bytes of `/v1/live` that may wait for one client; beyond, it is cut off as too slow',
  }),
  QUERY_API_CORS_ORIGIN: Type.String({
    default: '',
    pattern: explained(
      /^(\*|(https?:\/\/[^,\s/]+)(,https?:\/\/[^,\s/]+)*)?$/,
      'empty, *, or origins like https://a.example with commas between them',
    ).source,
    description:
      'origins whose pages may call the API: comma-separated `http(s)://host[:port]`, or `*`; empty: none but its own',
  }),
  QUERY_API_TRUST_PROXY: Type.String({
    default: 'false',
    description: 'whose X-Forwarded-For (and -Proto) is believed, as `INGEST_TRUST_PROXY`',
  }),
});
export type QueryApiConfig = Static<typeof QueryApiConfig>;

/** What reads may take, as `openClickHouse` wants it. */
export function readLimitsOf(config: QueryApiConfig) {
  return {
    readers: config.QUERY_READERS,
    rawReaders: config.QUERY_RAW_READERS,
    rawReadersPerClient: config.QUERY_RAW_READERS_PER_CLIENT,
    rawThreads: config.QUERY_RAW_THREADS,
    mostWaiting: config.QUERY_MAX_WAITING,
    mostWaitingPerClient: config.QUERY_MAX_WAITING_PER_CLIENT,
    queueTimeoutMs: config.QUERY_QUEUE_TIMEOUT_MS,
  };
}

/** @throws ConfigError */
export function trustedProxiesOf({
  QUERY_API_TRUST_PROXY,
}: Pick<QueryApiConfig, 'QUERY_API_TRUST_PROXY'>): TrustedProxies {
  return trustedProxies('QUERY_API_TRUST_PROXY', QUERY_API_TRUST_PROXY);
}
