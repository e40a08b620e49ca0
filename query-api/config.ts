/**
 * The configuration of the query API: keys, types, defaults, bounds and documentation. The table in README.md is made of
 * it.
 */

import { type Static, Type } from 'typebox';
import { explained } from '../infra/broken-rule.ts';
import { ClickHouseConfig, KafkaConfig, ProcessConfig } from '../infra/config.ts';
import { KeysConfig } from '../infra/keys/config.ts';
import { QueryApiQuotaConfig } from '../infra/quotas/config.ts';
import { TlsConfig } from '../infra/tls/config.ts';
import { type TrustedProxies, trustedProxies } from '../infra/trusted-proxies.ts';
import { HotAdConfig } from '../ingest/hot-ads/rule.ts';
import { PrivacyKeyConfig } from '../ingest/privacy/privacy-config.ts';
import { OidcConfig } from './oidc/oidc-config.ts';

export const QueryApiConfig = Type.Object({
  ...ProcessConfig.properties,
  ...KafkaConfig.properties,
  ...KeysConfig.properties,
  ...QueryApiQuotaConfig.properties,
  ...TlsConfig.properties,
  ...HotAdConfig.properties,
  ...ClickHouseConfig.properties,
  ...PrivacyKeyConfig.properties,
  ...OidcConfig.properties,
  QUERY_API_PORT: Type.Integer({
    default: 8081,
    minimum: 0,
    maximum: 65_535,
    description: 'port of the query API; 0 for a free port',
  }),
  QUERY_TIMEOUT_MS: Type.Integer({
    default: 10_000,
    minimum: 100,
    maximum: 25_000,
    description: 'ms that one read of ClickHouse may take (`max_execution_time`); longer: 503',
  }),
  QUERY_MAX_RANGE_MINUTES: Type.Integer({
    default: 44_820,
    minimum: 1,
    maximum: 600_000,
    description:
      'minutes that one request may ask for; more: 400. The default is 31 days and three hours, which is enough for a month in which clocks are put back',
  }),
  QUERY_READERS: Type.Integer({
    default: 3,
    minimum: 1,
    maximum: 64,
    description: 'reads of counts that run in one ClickHouse node at the same time; others wait',
  }),
  REPLICA_MAX_LAG_MS: Type.Integer({
    default: 10_000,
    minimum: 1_000,
    maximum: 120_000,
    description:
      'ms that a ClickHouse node may be behind the most advanced node of its shard and still be read; if no node of a shard can be read: 503',
  }),
  QUERY_RAW_READERS: Type.Integer({
    default: 2,
    minimum: 1,
    maximum: 64,
    description:
      'requests for raw clicks that one ClickHouse node serves at the same time, in addition to reads of counts; others wait. They are requests with `user_id`, `ip`, `filter` or `uniques`, and requests for click trails, exports of clicks and quarantine',
  }),
  QUERY_RAW_READERS_PER_CLIENT: Type.Integer({
    default: 1,
    minimum: 1,
    maximum: 64,
    description: 'how many of `QUERY_RAW_READERS` one client address may use (of IPv6: a /64); its other requests wait',
  }),
  QUERY_RAW_SECONDS_PER_CLIENT: Type.Integer({
    default: 0,
    minimum: 0,
    maximum: 3_840,
    description:
      'seconds of a minute for which requests for raw clicks of one client address (of IPv6: a /64) may have places in the database, all requests together; more: 429 with Retry-After; 0: no limit but that of `QUERY_RAW_READERS_PER_CLIENT`',
  }),
  QUERY_RAW_THREADS: Type.Integer({
    default: 1,
    minimum: 1,
    maximum: 256,
    description: 'cores of ClickHouse that one read of raw clicks may use; it gives way while counts are read',
  }),
  QUERY_MAX_WAITING: Type.Integer({
    default: 128,
    minimum: 1,
    maximum: 10_000,
    description:
      'reads of counts that may wait for a place; the same number of requests for raw clicks may wait too; more: 503',
  }),
  QUERY_MAX_WAITING_PER_CLIENT: Type.Integer({
    default: 64,
    minimum: 1,
    maximum: 10_000,
    description: 'how many of `QUERY_MAX_WAITING` one client address may use (of IPv6: a /64); more: 429',
  }),
  QUERY_QUEUE_TIMEOUT_MS: Type.Integer({
    default: 10_000,
    minimum: 1,
    maximum: 60_000,
    description: 'ms that a read may wait for a place; longer: 503 with Retry-After',
  }),
  QUERY_ANSWER_TIMEOUT_MS: Type.Integer({
    default: 30_000,
    minimum: 100,
    maximum: 60_000,
    description:
      'ms after which an answer must begin, whatever it reads and waits for; later: 503 with Retry-After, and its reads are cancelled',
  }),
  JOBS_MAX_OPEN: Type.Integer({
    default: 20,
    minimum: 1,
    maximum: 100,
    description:
      'replays that people have asked for and that are queued or running; the same number of reconciliations may be open too; more: 429. Several query APIs that are asked at the same moment exceed it by one each, and while no sink runs each has the limit for itself, which delays these jobs and no others',
  }),
  JOBS_MAX_OPEN_PER_CLIENT: Type.Integer({
    default: 40,
    minimum: 1,
    maximum: 200,
    description:
      'replays and reconciliations that one client address (of IPv6: a /64) has asked one process for and that are queued or running; more: 429',
  }),
  EXPORT_MAX_RUNNING: Type.Integer({
    default: 2,
    minimum: 1,
    maximum: 32,
    description: 'bulk exports that run at the same time; more: 503',
  }),
  EXPORT_MAX_RUNNING_PER_CLIENT: Type.Integer({
    default: 1,
    minimum: 1,
    maximum: 32,
    description:
      'bulk exports and exports of quarantine that run at the same time for one client address (of IPv6: a /64); more: 429',
  }),
  EXPORT_MAX_ROWS: Type.Integer({
    default: 100_000_000,
    minimum: 1,
    maximum: 10_000_000_000,
    description: 'rows of one bulk export; more: 400',
  }),
  EXPORT_TIMEOUT_MS: Type.Integer({
    default: 900_000,
    minimum: 1_000,
    maximum: 86_400_000,
    description:
      'ms that one bulk export may take, including the time in which its client reads it; after that it is cut off',
  }),
  EXPORT_MIN_BYTES_PER_SECOND: Type.Integer({
    default: 32_768,
    minimum: 0,
    maximum: 1_000_000_000,
    description:
      'bytes per second that the client of an export must read, also of an export of quarantine. If it reads less over 30 s in which bytes are ready, the export is cut off; if another client waits for a place, after 5 s. 0: no limit',
  }),
  QUERY_API_RATE_LIMIT_PER_MINUTE: Type.Integer({
    default: 30_000,
    minimum: 0,
    maximum: 100_000_000,
    description:
      'requests per minute of one client address (of IPv6: a /64), without those for health and metrics; more: 429 with Retry-After; 0: no limit',
  }),
  QUERY_API_OPS_PORT: Type.Integer({
    default: 0,
    minimum: 0,
    maximum: 65_535,
    description:
      'port on which `/healthz`, `/readyz`, `/metrics` and `/openapi.json` are served instead of the main port; 0: the main port serves them',
  }),
  QUERY_API_LIVE_MAX_CLIENTS: Type.Integer({
    default: 1_000,
    minimum: 0,
    maximum: 50_000,
    description: 'listeners of `/v1/live` at the same time; more: 503',
  }),
  QUERY_API_LIVE_MAX_PER_CLIENT: Type.Integer({
    default: 100,
    minimum: 1,
    maximum: 50_000,
    description: 'listeners of `/v1/live` from one client address (of IPv6: a /64) at the same time; more: 429',
  }),
  QUERY_API_LIVE_BUFFER_BYTES: Type.Integer({
    default: 524_288,
    minimum: 65_536,
    maximum: 67_108_864,
    description: 'bytes of `/v1/live` that may wait for one listener; with more it is too slow, and is cut off',
  }),
  QUERY_API_CORS_ORIGIN: Type.String({
    default: '',
    pattern: explained(
      /^(\*|(https?:\/\/[^,\s/]+)(,https?:\/\/[^,\s/]+)*)?$/,
      'empty, *, or origins such as https://a.example with commas between them',
    ).source,
    description:
      'origins whose pages may call the API: `http(s)://host[:port]` with commas between them, or `*` for all; empty: only the dashboard of this service',
  }),
  QUERY_API_SESSION_HOURS: Type.Integer({
    default: 12,
    minimum: 1,
    maximum: 720,
    description:
      'hours after which a browser must sign in to the dashboard again. Before that, the session ends when its key is revoked or expires, or its secret is replaced',
  }),
  QUERY_API_TRUST_PROXY: Type.String({
    default: 'false',
    description:
      'the proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are trusted, in the form of `INGEST_TRUST_PROXY`',
  }),
});
export type QueryApiConfig = Static<typeof QueryApiConfig>;

/** Returns the limits of reads in the form that `openClickHouse` takes. */
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
