/**
 * Serves the HTTP API of ingest: its routes, and what holds for all of them. Bodies are read as bytes, without fastify's
 * parsers and validators.
 */
import type { Readable } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import { brokenRule } from '../infra/broken-rule.ts';
import { createHttp, type Http, type HttpOptions, Problem } from '../infra/http.ts';
import { type Clients, createClients } from '../infra/http-clients.ts';
import { createRateLimit, type RateLimit } from '../infra/http-rate-limit.ts';
import { keyModeOf } from '../infra/keys/config.ts';
import { createKeyGate, type KeyGate, type KnownKeys, unreadKeys } from '../infra/keys/key-gate.ts';
import { type Region, regionOf } from '../infra/keys/region.ts';
import type { Life } from '../infra/life.ts';
import type { Logger } from '../infra/log.ts';
import type { QuotaMembers } from '../infra/quotas/quota-members.ts';
import { type QuotaShares, wholeQuotas } from '../infra/quotas/quota-shares.ts';
import { routeBrowserClicks } from './browser/browser-routes.ts';
import type { ClickLog } from './click-log.ts';
import { type IngestConfig, trustedProxiesOf } from './config.ts';
import type { ClickTime } from './hot-ads/receipt-clock.ts';
import type { KeptFields } from './kept-click.ts';
import { createKeyLimits, type KeyLimits } from './key-limits.ts';
import { linkAddressOf } from './links/link-address.ts';
import { type LinkKeys, noLinkKeys } from './links/link-keys.ts';
import { routeLinks } from './links/link-route.ts';
import { routePostedClicks } from './post-clicks-route.ts';
import type { PersonalData } from './privacy/personal-data.ts';
import { createBodyReader } from './request-body.ts';
import { type ClickSpool, createKeepClick } from './spool/keep-click.ts';

export interface IngestDeps {
  readonly config: IngestConfig;
  readonly clickLog: Pick<ClickLog, 'append' | 'refusal'>;
  readonly log: Logger;
  /** Left out: none is known, and who needs one is not let in. */
  readonly keys?: KnownKeys;
  /** Left out: no other process gives out the quotas of keys. */
  readonly quotaShares?: QuotaShares & Partial<Pick<QuotaMembers, 'tells'>>;
  /** Records requests that a valid key was not enough for. Left out: nothing is recorded. */
  readonly audit?: HttpOptions['audit'];
  /** Of click links. Left out: there are none. */
  readonly linkKeys?: () => LinkKeys;
  /** Where clicks from browsers are kept that Kafka does not take. */
  readonly spool?: ClickSpool | undefined;
  /** Resolves when Kafka answers and has the topic. */
  readonly kafkaReady: () => Promise<void>;
  /** Throws unless every click that may be posted can be routed. */
  readonly rulesKnown: () => void;
  /** Throws unless the topics have the partitions that are recorded. */
  readonly partitionsAgree?: () => void;
  /** What is kept of fields that say who a person is. Left out: all of them. */
  readonly kept?: KeptFields;
  /** Epoch ms. */
  readonly now?: () => number;
  /** The time of receipt of clicks. Left out: `now`, without a doubt. */
  readonly clickTime?: ClickTime;
  readonly life?: Life;
  /** Left out: it speaks HTTP. */
  readonly tls?: HttpOptions['tls'];
}

export async function buildIngestApp(deps: IngestDeps): Promise<Http> {
  const { config, clickLog, keys = unreadKeys, linkKeys = () => noLinkKeys, now = Date.now } = deps;
  const { spool, log, clickTime = { now, doubt: () => undefined } } = deps;
  const clients = createClients({ proxies: trustedProxiesOf(config) });
  const rateLimit = createRateLimit({
    perMinute: config.INGEST_RATE_LIMIT_PER_MINUTE,
    unit: 'clicks',
    setting: 'INGEST_RATE_LIMIT_PER_MINUTE',
  });
  const region: Region = regionOf(config);
  const keyGate = createKeyGate({ mode: keyModeOf(config), keys, region, now });
  const keyLimits = createKeyLimits({ config, clients, shares: deps.quotaShares ?? wholeQuotas, log });
  const http = await openServer(deps, { clients, rateLimit, keys: keyGate, keyLimits });
  takeBytes(http, config, clients);
  routePostedClicks(http, { ...deps, clickTime, clients, rateLimit, keyLimits });
  const safeLanding = config.INGEST_LINK_SAFE_LANDING;
  const keep = createKeepClick({ clickLog, spool, ...(deps.kept && { kept: deps.kept }) });
  routeLinks(http, { clients, clickLog, keep, log, keys: linkKeys, region, safeLanding, now, clickTime });
  routeBrowserClicks(http, {
    clients,
    rateLimit,
    takeFurther: keyLimits.takeFurther,
    clickLog,
    keep,
    log,
    now: () => clickTime.now(),
  });
  return http;
}

interface Guards {
  readonly clients: Clients;
  readonly rateLimit: RateLimit;
  readonly keys: KeyGate;
  readonly keyLimits: KeyLimits;
}

/** The server with all that does not depend on the route: limits, health, metrics and documentation. */
function openServer(
  {
    config,
    log,
    kafkaReady,
    rulesKnown,
    partitionsAgree = () => {},
    life,
    tls,
    audit,
    kept,
    now = Date.now,
  }: IngestDeps,
  { keyLimits, ...guards }: Guards,
): Promise<Http> {
  return createHttp({
    title: 'Ad click ingest',
    description: 'Takes clicks, and answers when they are safely in the log.',
    tags: { clicks: 'Clicks in' },
    log,
    config,
    bodyLimitBytes: config.INGEST_BODY_LIMIT_BYTES,
    ...guards,
    withinQuotas: keyLimits.withinQuotas,
    beforeScrape: async () => keyLimits.report(),
    operationsPort: config.INGEST_OPS_PORT,
    servesPages: false,
    addressOf: linkAddressOf,
    servesBrowserClicks: true,
    readiness: { kafka: kafkaReady, hot_ads: rulesKnown, partitions: partitionsAgree, ...guards.keys.readiness },
    ...{ life, tls, audit, visitorAddress: visitorAddress(guards.clients, kept?.personal, now) },
  });
}

/** In the audit log stands as much of the address of a visitor as in a click. */
function visitorAddress(clients: Clients, personal: PersonalData | undefined, now: () => number) {
  if (personal === undefined) return undefined;
  return ({ raw }: FastifyRequest): string => {
    const address = clients.addressOf(raw);
    return address === undefined ? '' : (personal.keptVisitorIp(address, now()) ?? '');
  };
}

/** Bodies arrive at the handler as the posted bytes, inflated. */
function takeBytes(http: Http, config: IngestConfig, clients: Clients): void {
  const readBody = createBodyReader({
    limitBytes: config.INGEST_BODY_LIMIT_BYTES,
    budgetBytes: config.INGEST_MAX_BUFFER_BYTES,
    clientBudgetBytes: config.INGEST_CLIENT_BUFFER_BYTES,
    minBytesPerSecond: config.INGEST_MIN_BODY_BYTES_PER_SECOND,
  });
  http.removeAllContentTypeParsers();
  http.addContentTypeParser(['application/json', ...ndjsonTypes], (request: FastifyRequest, stream: Readable) =>
    readBody(clients.of(request.raw), request.headers, stream, request.routeOptions.bodyLimit),
  );
  http.addContentTypeParser('*', ({ headers }: FastifyRequest, _stream: Readable, done: (error: Problem) => void) =>
    done(otherType(headers['content-type'])),
  );
}

/** One format with many names. navigator.sendBeacon can send text/plain without asking the server first. */
const ndjsonTypes = [
  ...['x-ndjson', 'ndjson', 'jsonl', 'x-jsonl', 'jsonlines', 'x-jsonlines'].map(name => `application/${name}`),
  'text/plain',
];

function otherType(given: string | undefined): Problem {
  const rule = 'must be application/json, or application/x-ndjson with one click per line';
  return new Problem(415, 'unsupported_media_type', brokenRule('content-type', given, rule));
}
