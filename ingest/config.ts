/**
 * Defines the settings of ingest: key, type, default, bounds and documentation in one place. README's table is
 * generated from it.
 */
import { type Static, Type } from 'typebox';
import { KafkaConfig, ProcessConfig } from '../infra/config.ts';
import { ConfigError } from '../infra/errors.ts';
import { KeysConfig } from '../infra/keys/config.ts';
import { IngestQuotaConfig } from '../infra/quotas/config.ts';
import { TlsConfig } from '../infra/tls/config.ts';
import { type TrustedProxies, trustedProxies } from '../infra/trusted-proxies.ts';
import type { SplitSettings } from './hot-ads/announcements.ts';
import { HotAdConfig } from './hot-ads/rule.ts';
import { destinationRule, isDestination } from './links/destination.ts';
import { PrivacyConfig, personalDataRulesOf } from './privacy/privacy-config.ts';

const mib = 1 << 20;

export const IngestConfig = Type.Object({
  ...ProcessConfig.properties,
  ...KafkaConfig.properties,
  ...KeysConfig.properties,
  ...PrivacyConfig.properties,
  ...IngestQuotaConfig.properties,
  ...TlsConfig.properties,
  INGEST_PORT: Type.Integer({
    default: 8080,
    minimum: 0,
    maximum: 65_535,
    description: 'port of ingest; 0 chooses a free port',
  }),
  INGEST_ACKS: Type.Union([Type.Literal('all'), Type.Literal('1'), Type.Literal('0')], {
    default: 'all',
    description:
      'when a click is accepted. `all`: when all in-sync replicas have it (with `min.insync.replicas=2` no single machine can lose it). ' +
      '`1`: when the leader has it. That is sooner, but clicks that were answered with 202 are lost if the leader fails before its replicas have copied them, ' +
      'and a retried batch may be stored twice (the copies are then counted as duplicates). ' +
      '`0`: without waiting for any broker. That is the fastest, and clicks are lost without a trace whenever a broker or a connection fails',
  }),
  INGEST_LINGER_MS: Type.Integer({
    default: 3,
    minimum: 0,
    maximum: 1_000,
    description:
      'milliseconds that a click waits for other clicks to share a Kafka record with. A longer wait gives higher throughput and later answers; with 0, a click is sent at once when nothing else is being sent',
  }),
  INGEST_MAX_BATCH_BYTES: Type.Integer({
    default: 512 * 1024,
    minimum: 16 * 1024,
    maximum: mib,
    description:
      'bytes of click lines in one Kafka record. When this many bytes wait for a partition, they are sent before INGEST_LINGER_MS is over',
  }),
  INGEST_MAX_BUFFER_BYTES: Type.Integer({
    default: 64 * mib,
    minimum: mib,
    maximum: 4096 * mib,
    description:
      'bytes of click lines that may wait for Kafka. The same limit holds, separately, for the request bodies that are being received and for the large ones that wait to be checked. Above it, requests get 503 with Retry-After',
  }),
  INGEST_CLIENT_BUFFER_BYTES: Type.Integer({
    default: 16 * mib,
    minimum: mib,
    maximum: 4096 * mib,
    description:
      'bytes that the request bodies of one client address (IPv6: a /64) may use while they are received and wait to be checked. The same limit holds, separately, for its clicks that wait for Kafka, once that buffer is half full. When this share or the whole buffer is full, ingest takes the client that uses the most and ends the body of it that has been idle the longest (408). If no body is idle, requests get 429',
  }),
  INGEST_MIN_BODY_BYTES_PER_SECOND: Type.Integer({
    default: 1_024,
    minimum: 0,
    maximum: 1_048_576,
    description:
      'bytes per second at which a body must arrive until it is complete, as the average of any 5 s. A slower one gets 408; 0 means no limit',
  }),
  INGEST_BODY_LIMIT_BYTES: Type.Integer({
    default: 4 * mib,
    minimum: 1_024,
    maximum: 64 * mib,
    description:
      'bytes of one request body, both as received and after inflating (gzip may inflate it to at most 64 KiB plus 100 times its length). A larger one gets 413',
  }),
  INGEST_MAX_ITEMS: Type.Integer({
    default: 10_000,
    minimum: 1,
    maximum: 1_000_000,
    description: 'number of clicks in one request; a request with more gets 413',
  }),
  INGEST_PRODUCE_TIMEOUT_MS: Type.Integer({
    default: 5_000,
    minimum: 500,
    maximum: 60_000,
    description:
      'milliseconds that a click may wait for Kafka. After that, its request gets 503, and the client posts it again with the same event_id',
  }),
  ...HotAdConfig.properties,
  HOT_AD_SPLIT: Type.Boolean({
    default: true,
    description:
      'whether this process looks for hot ads and announces that their clicks are split over all partitions. With `false` it announces none, but it still follows what other processes announce',
  }),
  HOT_AD_SHARE: Type.Number({
    default: 0.1,
    minimum: 0.02,
    maximum: 1,
    description:
      'an ad is hot when its part of the clicks that one ingest process takes in a minute is above this number, from 0 to 1',
  }),
  HOT_AD_CLICKS_PER_SECOND: Type.Integer({
    default: 1_000,
    minimum: 1,
    maximum: 10_000_000,
    description:
      'an ad with fewer clicks per second in one ingest process is not hot, whatever its share. An ad that is split stays split while it has at least half of both limits',
  }),
  HOT_AD_CLIENTS: Type.Integer({
    default: 4,
    minimum: 1,
    maximum: 16,
    description:
      'number of clients (addresses; IPv6: a /64) from which the clicks of an ad must come before it is split. Without the clicks of its busiest `HOT_AD_CLIENTS` - 1 clients, the ad must still have half of what makes it hot. Otherwise one client could cause the ads of others to be split. `1` turns this off: use it if a few collectors, or proxies that INGEST_TRUST_PROXY does not name, post all clicks',
  }),
  HOT_AD_MINUTES: Type.Integer({
    default: 2,
    minimum: 0,
    maximum: 60,
    description: 'minutes for which an ad must be hot without a break before its split is announced',
  }),
  HOT_AD_SPLIT_MINUTES: Type.Integer({
    default: 360,
    minimum: 4,
    maximum: 7 * 24 * 60,
    description: 'minutes for which an ad is split. The time is extended while the ad stays hot',
  }),
  INGEST_TRUST_PROXY: Type.String({
    default: 'false',
    description:
      'whose X-Forwarded-For and X-Forwarded-Proto headers are believed. `false`: nobody’s. A number: that many proxies are in front of ingest, and every request comes through them. Addresses or CIDRs separated by commas: those of the proxies at these addresses. `true` is refused',
  }),
  INGEST_RATE_LIMIT_PER_MINUTE: Type.Integer({
    default: 6_000_000,
    minimum: 0,
    maximum: 1_000_000_000,
    description:
      'clicks per minute from one client address (IPv6: a /64), whether they are accepted or not. A request counts at least once, and at least once for each KiB of its inflated body. Above the limit, requests get 429 with Retry-After; 0 means no limit',
  }),
  INGEST_GEO_FILE: Type.String({
    default: '',
    description:
      'a database of the countries of addresses, in the format of MaxMind (`.mmdb`). By it, clicks that are posted with an `ip` and without a country get one, before the address is cut or hashed. It is read again when it changes. Empty: their country is unknown',
  }),
  INGEST_DATACENTRE_FILE: Type.String({
    default: '',
    description:
      'a file with the networks of data centres, one in each line (`192.0.2.0/24`; behind `#` is a comment). A click from one gets the fact `datacentre` ([invalid traffic](README.md#invalid-traffic)). It is read again when it changes. Empty: no click gets it',
  }),
  INGEST_DENY_FILE: Type.String({
    default: '',
    description:
      'a file with networks, and with texts of user agents (`user-agent: FooBot/`), whose clicks get the fact `denied`. It is read again when it changes. Empty: no click gets it',
  }),
  INGEST_ALLOW_FILE: Type.String({
    default: '',
    description:
      'a file of the same form, whose clicks get the fact `allowed`: no rule of invalid traffic applies to them. It is read again when it changes. Empty: no click gets it',
  }),
  INGEST_LINK_KEYS_FILE: Type.String({
    default: '',
    description:
      'the JSON file with the keys of [click links](links/README.md#the-key-file). It is read again when it changes. Empty: there are no click links, and `/c/` answers 404',
  }),
  INGEST_LINK_SAFE_LANDING: Type.String({
    default: '',
    description:
      'the URL to which click links lead that were altered, have expired or are for another ad. Empty: they get 404',
  }),
  INGEST_SPOOL_DIR: Type.String({
    default: '',
    description:
      'the directory in which clicks from browsers (of links, beacons and pixels) are kept while Kafka is away, and until they were sent. Each ingest process has one of its own, on a disk that survives it. Empty: they are not kept, and these requests get 503 meanwhile',
  }),
  INGEST_SPOOL_MAX_BYTES: Type.Integer({
    default: 256 * mib,
    minimum: mib,
    maximum: 65_536 * mib,
    description:
      'bytes that INGEST_SPOOL_DIR may hold, about 250 for each click. When it is full, click links, beacons and pixels get 503 until Kafka is back',
  }),
  INGEST_OPS_PORT: Type.Integer({
    default: 0,
    minimum: 0,
    maximum: 65_535,
    description:
      'a separate port for `/healthz`, `/readyz`, `/metrics` and `/openapi.json`, which then answer on no other port; 0 means the port of ingest',
  }),
});
export type IngestConfig = Static<typeof IngestConfig>;

/**
 * Checks rules between settings at the start: a request within its limits must fit into the empty buffer. Otherwise its
 * client would be told to try again forever.
 */
export function checkRelations(config: IngestConfig): void {
  trustedProxiesOf(config);
  personalDataRulesOf(config);
  const landing = config.INGEST_LINK_SAFE_LANDING;
  if (landing !== '' && !isDestination(landing))
    throw new ConfigError(`INGEST_LINK_SAFE_LANDING=${JSON.stringify(landing)}: ${destinationRule}`);
  const largestRequestBytes = config.INGEST_BODY_LIMIT_BYTES + config.INGEST_MAX_ITEMS * addedBytesPerClick;
  if (largestRequestBytes > config.INGEST_MAX_BUFFER_BYTES) {
    throw new ConfigError(
      `INGEST_MAX_BUFFER_BYTES=${config.INGEST_MAX_BUFFER_BYTES}: must be at least ${largestRequestBytes}, ` +
        `because one request may hold INGEST_BODY_LIMIT_BYTES=${config.INGEST_BODY_LIMIT_BYTES} and INGEST_MAX_ITEMS=${config.INGEST_MAX_ITEMS} clicks`,
    );
  }
  if (config.INGEST_BODY_LIMIT_BYTES > config.INGEST_CLIENT_BUFFER_BYTES) {
    throw new ConfigError(
      `INGEST_CLIENT_BUFFER_BYTES=${config.INGEST_CLIENT_BUFFER_BYTES}: must be at least INGEST_BODY_LIMIT_BYTES=${config.INGEST_BODY_LIMIT_BYTES}, because one body may hold that many bytes`,
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
 * a country, facts, and the hashes of an address and of a user id.
 */
const addedBytesPerClick = 280;
