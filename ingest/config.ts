/**
 * Defines the settings of ingest: key, type, default, bounds and documentation in one place. README's table is
 * generated from it.
 */
import { type Static, Type } from 'typebox';
import { KafkaConfig, ProcessConfig } from '../infra/config.ts';
import { ConfigError } from '../infra/errors.ts';
import { KeysConfig } from '../infra/keys/config.ts';
import { type TrustedProxies, trustedProxies } from '../infra/trusted-proxies.ts';
import type { SplitSettings } from './hot-ads/announcements.ts';
import { HotAdConfig } from './hot-ads/rule.ts';

const mib = 1 << 20;

export const IngestConfig = Type.Object({
  ...ProcessConfig.properties,
  ...KafkaConfig.properties,
  ...KeysConfig.properties,
  INGEST_PORT: Type.Integer({
    default: 8080,
    minimum: 0,
    maximum: 65_535,
    description: 'port of ingest; 0 takes a free one',
  }),
  INGEST_ACKS: Type.Union([Type.Literal('all'), Type.Literal('1'), Type.Literal('0')], {
    default: 'all',
    description:
      'when a click is accepted. `all`: all in-sync replicas have it (with `min.insync.replicas=2` no single machine can lose it); ' +
      '`1`: the leader has it, which is sooner, but clicks answered with 202 are lost if the leader fails before its replicas have copied them, ' +
      'and a retried batch may be stored twice (the copies are then counted as duplicates); ' +
      '`0`: nobody is asked, the fastest, and clicks are lost without a trace whenever a broker or a connection fails',
  }),
  INGEST_LINGER_MS: Type.Integer({
    default: 3,
    minimum: 0,
    maximum: 1_000,
    description:
      'ms a click waits for others to share a Kafka record with; more: higher throughput, later answers; 0: send at once when idle',
  }),
  INGEST_MAX_BATCH_BYTES: Type.Integer({
    default: 512 * 1024,
    minimum: 16 * 1024,
    maximum: mib,
    description:
      'bytes of click lines in one Kafka record; a partition that has so many waiting is sent before the linger is over',
  }),
  INGEST_MAX_BUFFER_BYTES: Type.Integer({
    default: 64 * mib,
    minimum: mib,
    maximum: 4096 * mib,
    description:
      'bytes of click lines waiting for Kafka, and, each counted apart, of request bodies being received and of large ones waiting to be judged; beyond, requests get 503 with Retry-After',
  }),
  INGEST_CLIENT_BUFFER_BYTES: Type.Integer({
    default: 16 * mib,
    minimum: mib,
    maximum: 4096 * mib,
    description:
      'bytes that the bodies of one client address (of IPv6: a /64) may hold, being received and waiting to be judged; and, counted apart, its clicks that wait for Kafka, once that buffer is half full. Where that, or the buffer of all, is full, the body is ended (408) that has been idle the longest, of the client that holds the most; if none is, requests get 429',
  }),
  INGEST_MIN_BODY_BYTES_PER_SECOND: Type.Integer({
    default: 1_024,
    minimum: 0,
    maximum: 1_048_576,
    description:
      'bytes per second that a body must bring, on average of any 5 s, until it is complete; less: 408; 0: none',
  }),
  INGEST_BODY_LIMIT_BYTES: Type.Integer({
    default: 4 * mib,
    minimum: 1_024,
    maximum: 64 * mib,
    description:
      'bytes of one request body, as received and again as inflated (by gzip to 64 KiB and 100 times its length at most); beyond: 413',
  }),
  INGEST_MAX_ITEMS: Type.Integer({
    default: 10_000,
    minimum: 1,
    maximum: 1_000_000,
    description: 'clicks in one request; beyond: 413',
  }),
  INGEST_PRODUCE_TIMEOUT_MS: Type.Integer({
    default: 5_000,
    minimum: 500,
    maximum: 60_000,
    description:
      'ms a click may wait for Kafka until its request gets 503 (the client posts it again with the same event_id)',
  }),
  ...HotAdConfig.properties,
  HOT_AD_SPLIT: Type.Boolean({
    default: true,
    description:
      'look for hot ads and announce that their clicks are split over all partitions; `false`: announce none (what other processes announce holds all the same)',
  }),
  HOT_AD_SHARE: Type.Number({
    default: 0.1,
    minimum: 0.02,
    maximum: 1,
    description: 'part of the clicks one ingest process takes in a minute above which an ad is hot, 0 to 1',
  }),
  HOT_AD_CLICKS_PER_SECOND: Type.Integer({
    default: 1_000,
    minimum: 1,
    maximum: 10_000_000,
    description:
      'clicks per second of an ad, as one ingest process sees it, below which it is not hot, whatever its share; an ad that is split stays so down to half of both',
  }),
  HOT_AD_CLIENTS: Type.Integer({
    default: 4,
    minimum: 1,
    maximum: 16,
    description:
      'clients (addresses; of IPv6 a /64) it takes to have an ad split: without the clicks of its busiest `HOT_AD_CLIENTS` - 1 clients the ad must still have half of what makes it hot, or one client could have the ads of others split. `1`: whoever posts is believed; for where a few collectors, or proxies that INGEST_TRUST_PROXY does not name, post for all',
  }),
  HOT_AD_MINUTES: Type.Integer({
    default: 2,
    minimum: 0,
    maximum: 60,
    description: 'minutes for which an ad has to be hot without a break before its split is announced',
  }),
  HOT_AD_SPLIT_MINUTES: Type.Integer({
    default: 360,
    minimum: 4,
    maximum: 7 * 24 * 60,
    description: 'minutes for which an ad is split; prolonged while it stays hot',
  }),
  INGEST_TRUST_PROXY: Type.String({
    default: 'false',
    description:
      'whose X-Forwarded-For (and -Proto) is believed. `false`: nobody’s; a number: so many proxies are in front, and nobody reaches ingest but through them; comma-separated addresses or CIDRs: that of proxies there. `true` is refused',
  }),
  INGEST_RATE_LIMIT_PER_MINUTE: Type.Integer({
    default: 6_000_000,
    minimum: 0,
    maximum: 1_000_000_000,
    description:
      'clicks per minute and client address (of IPv6: a /64), accepted or not; a request costs one for each KiB of its body, inflated, if that is more, and one at the least; beyond: 429 with Retry-After; 0: no limit',
  }),
  INGEST_OPS_PORT: Type.Integer({
    default: 0,
    minimum: 0,
    maximum: 65_535,
    description:
      'port of `/healthz`, `/readyz`, `/metrics` and `/openapi.json`, which are on no other then; 0: that of ingest',
  }),
});
export type IngestConfig = Static<typeof IngestConfig>;

/**
 * Checks rules between settings at the start: a request within its limits must fit into the empty buffer. Otherwise its
 * client would be told to try again forever.
 */
export function checkRelations(config: IngestConfig): void {
  trustedProxiesOf(config);
  const largestRequestBytes = config.INGEST_BODY_LIMIT_BYTES + config.INGEST_MAX_ITEMS * addedBytesPerClick;
  if (largestRequestBytes > config.INGEST_MAX_BUFFER_BYTES) {
    throw new ConfigError(
      `INGEST_MAX_BUFFER_BYTES=${config.INGEST_MAX_BUFFER_BYTES}: must be at least ${largestRequestBytes}, ` +
        `as one request may hold INGEST_BODY_LIMIT_BYTES=${config.INGEST_BODY_LIMIT_BYTES} and INGEST_MAX_ITEMS=${config.INGEST_MAX_ITEMS} clicks`,
    );
  }
  if (config.INGEST_BODY_LIMIT_BYTES > config.INGEST_CLIENT_BUFFER_BYTES) {
    throw new ConfigError(
      `INGEST_CLIENT_BUFFER_BYTES=${config.INGEST_CLIENT_BUFFER_BYTES}: must be at least INGEST_BODY_LIMIT_BYTES=${config.INGEST_BODY_LIMIT_BYTES}, as one body may hold so much`,
    );
  }
}

export const acksOf = { all: -1, '1': 1, '0': 0 } as const satisfies Record<IngestConfig['INGEST_ACKS'], -1 | 1 | 0>;

/** @throws ConfigError */
export function trustedProxiesOf({ INGEST_TRUST_PROXY }: Pick<IngestConfig, 'INGEST_TRUST_PROXY'>): TrustedProxies {
  return trustedProxies('INGEST_TRUST_PROXY', INGEST_TRUST_PROXY);
}

/** Returns undefined when nothing is announced. */
export function splitSettingsOf(config: IngestConfig): SplitSettings | undefined {
  if (!config.HOT_AD_SPLIT) return undefined;
  return {
    share: config.HOT_AD_SHARE,
    clicksPerSecond: config.HOT_AD_CLICKS_PER_SECOND,
    clients: config.HOT_AD_CLIENTS,
    minutes: config.HOT_AD_MINUTES,
    splitMs: config.HOT_AD_SPLIT_MINUTES * 60_000,
  };
}

/**
 * A canonical line is at most this much longer than what was posted: field names, two ids that ingest adds, two times,
 * a country.
 */
const addedBytesPerClick = 200;
