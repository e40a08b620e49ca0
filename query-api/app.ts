/** The query API: it answers counts, top lists, series and the state of the pipeline over HTTP, and takes jobs. */
import type { KeyObject } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import swaggerUi from '@fastify/swagger-ui';
import { type AuditTrail, noTrail } from '../infra/audit/audit-trail.ts';
import { cached } from '../infra/cached.ts';
import type { ClickHouse } from '../infra/clickhouse/clickhouse.ts';
import { clientSlots } from '../infra/client-slots.ts';
import { Retryable } from '../infra/errors.ts';
import { createHttp, type Http, type HttpOptions } from '../infra/http.ts';
import { auditRequests } from '../infra/http-audit.ts';
import { type Clients, createClients } from '../infra/http-clients.ts';
import { onDrain } from '../infra/http-drain.ts';
import { lastingAdmission } from '../infra/http-keys.ts';
import { createRateLimit } from '../infra/http-rate-limit.ts';
import { sessionCookies } from '../infra/http-sessions.ts';
import { inTime } from '../infra/in-time.ts';
import { keyConnections } from '../infra/key-quotas/key-connections.ts';
import { KeyQuotas } from '../infra/key-quotas/key-quotas.ts';
import { keysAtQuota } from '../infra/key-quotas/keys-at-quota.ts';
import { keyModeOf } from '../infra/keys/config.ts';
import { KeyBook } from '../infra/keys/key-book.ts';
import { createKeyGate, type KeyGate, type KnownKeys, unreadKeys } from '../infra/keys/key-gate.ts';
import { createPersonSessionCheck } from '../infra/keys/person-session.ts';
import { regionOf } from '../infra/keys/region.ts';
import type { Life } from '../infra/life.ts';
import type { Logger } from '../infra/log.ts';
import { quotasOf } from '../infra/quotas/config.ts';
import { type QuotaShares, wholeQuotas } from '../infra/quotas/quota-shares.ts';
import { quotaNames } from '../infra/quotas/quotas.ts';
import { privacyKeysOf } from '../ingest/privacy/privacy-config.ts';
import type { StoreNodes } from './answers/nodes-status.ts';
import { createPipelineMetrics } from './answers/pipeline-metrics.ts';
import { createStallWatch, type StallWatch } from './answers/stalled-partitions.ts';
import { type QueryApiConfig, trustedProxiesOf } from './config.ts';
import { about } from './http/about.ts';
import { createKeptForms } from './http/kept-forms.ts';
import { personalParameters, refusedToTenants } from './http/private-answers.ts';
import { asksForRaw } from './http/raw-requests.ts';
import { createRawSeconds, type RawSeconds } from './http/raw-seconds.ts';
import { storeForSenders } from './http/store-for.ts';
import type { CountedLog } from './log/counted-log.ts';
import type { ErasureLog } from './log/erasure-log.ts';
import type { Routing } from './log/hot-ad-rules.ts';
import { logEndsOf } from './log/log-ends.ts';
import type { Partitions } from './log/partitions.ts';
import { patientLog } from './log/patient-log.ts';
import type { RequestLog } from './log/request-log.ts';
import type { ValidityRulesLog } from './log/validity-rules.ts';
import { oidcOf } from './oidc/oidc-config.ts';
import { oneReplica, type Replicas } from './replicas/replicas.ts';
import { routeDashboard } from './routes/dashboard/dashboard.ts';
import type { KeyRoutesDeps } from './routes/keys/keys.ts';
import { createLiveFeeds } from './routes/live/live-feeds.ts';
import { readLive } from './routes/live/live-reading.ts';
import type { StatusDeps } from './routes/pipeline/status.ts';
import { routeVersion1 } from './routes/version-1.ts';
import { type AdStoresOptions, openAdStores } from './store/ad-store.ts';
import { openStore, type StoreOptions } from './store/open-store.ts';
import { noneSplit, type SplitRules } from './store/split-minutes.ts';

export interface QueryApiDeps {
  readonly config: QueryApiConfig;
  readonly clickhouse: ClickHouse;
  /** The nodes that `clickhouse` reads. Left out: there is only one. */
  readonly replicas?: Replicas;
  /** Names and states of the nodes. Left out: there is only one. */
  readonly nodes?: StoreNodes;
  readonly log: Logger;
  /** Epoch ms. */
  readonly now: () => number;
  readonly countedLog: CountedLog;
  /** Which ads are split, and over how many partitions. Left out: no ad is split, and nothing is recorded. */
  readonly routing?: () => Promise<Routing>;
  /** The same, and the rules of invalid clicks, as far as this process has heard. */
  readonly splitRules?: SplitRules;
  /** Left out: no key is known, so a request that needs one is refused. */
  readonly keys?: KnownKeys & {
    readonly book: KeyRoutesDeps['keyBook'];
    readonly readToEnd: KeyRoutesDeps['readKeysToEnd'];
  };
  /** Left out: requests that change keys fail, because no broker is known. */
  readonly appendKeyChange?: KeyRoutesDeps['appendKeyChange'];
  /** Left out: no other process gives out the quotas of keys. */
  readonly quotaShares?: QuotaShares;
  /** The audit log. Left out: nothing is recorded. Only tests leave it out. */
  readonly audit?: AuditTrail;
  /** Takes jobs and stored filters. Left out: such requests fail, because no broker is known. */
  readonly requests?: RequestLog;
  /** Left out: requests to erase persons fail, because no broker is known. */
  readonly erasures?: ErasureLog;
  /** These two left out: requests about partitions, or about rules, fail, because no broker is known. */
  readonly partitions?: Partitions;
  readonly validityRules?: ValidityRulesLog;
  /** Further checks that must pass before the process is ready. */
  readonly readiness?: HttpOptions['readiness'];
  readonly life?: Life;
  /** Left out: it speaks HTTP. */
  readonly tls?: HttpOptions['tls'];
  readonly wait?: StatusDeps['wait'];
}

/** Long because it wires everything that the server has, each part once. */
export async function buildQueryApi({
  config,
  clickhouse,
  replicas = oneReplica('clickhouse', clickhouse),
  nodes = { list: [{ name: 'clickhouse', shard: 0 }], reports: () => [] },
  log,
  now,
  countedLog,
  routing = () => Promise.resolve({ rules: [], partitionRules: [], versions: [] }),
  splitRules = noneSplit,
  keys: known = { ...unreadKeys, book: new KeyBook(), readToEnd: unasked },
  appendKeyChange = unasked,
  quotaShares = wholeQuotas,
  audit = noTrail,
  requests = { append: unasked, [Symbol.asyncDispose]: () => Promise.resolve() },
  erasures = { room: unasked, begin: unasked, get: unasked, nodesOf: unasked, logKeptUntil: unasked },
  partitions = { read: unasked, grow: unasked },
  validityRules = { read: unasked, announce: unasked },
  readiness,
  life,
  tls,
  wait = sleep,
}: QueryApiDeps): Promise<Http> {
  const patient = patientLog(countedLog, replicas.each);
  const splitAds = cached(() => inTime(routing()).catch(() => undefined), 1_000);
  const { sinkPositions } = patient;
  const { store, storeFor } = openStores({
    config,
    clickhouse,
    replicas,
    now,
    requests,
    sinkPositions,
    splitRules,
    splitAds,
  });
  const stallWatch = replicas.each(() => createStallWatch(now));
  const stalls: StallWatch = progress => stallWatch()(progress);
  const logEnds = logEndsOf(patient);
  const live = createLiveFeeds({
    readOf: ads => (at, restatedSince) => replicas.reading(() => readLive(ads, at, restatedSince)),
    ...{ ...liveLimitsOf(config), logEnds, stalls, now, log },
  });
  const clients = createClients({ proxies: trustedProxiesOf(config) });
  const { quotas, rawSeconds, withinQuotas, reportingToo } = keyLimitsOf(config, { clients, quotaShares, log });
  const oidc = oidcOf(config);
  const keys = oidc ? withPersons(known, oidc.sessionKey) : known;
  const keyGate = createKeyGate({ mode: keyModeOf(config), keys, region: regionOf(config), now });
  const signIn = signInOf(config, keyGate, clients);
  const http = await createHttp({
    ...about,
    ...httpLimitsOf(config, rawSeconds),
    ...{ config, clients, log, life, tls, audit, withinQuotas, servesPages: true },
    ...{
      keys: keyGate,
      sessions: signIn.sessions,
      personalParameters,
      refusedToTenants,
      openPages: ['/docs', '/dashboard', '*'],
    },
    readiness: { clickhouse: () => clickhouse.ping(), ...keyGate.readiness, ...readiness },
    beforeScrape: reportingToo(createPipelineMetrics({ ...store, clickhouse, countedLog: patient, nodes, now })),
  });
  auditRequests(http, { trail: audit, clients, personalParameters });
  await http.register(swaggerUi, { routePrefix: '/docs', staticCSP: docsPolicy, uiConfig: { validatorUrl: null } });
  // Listeners are let go when the drain begins. Their answers have no end, so to wait for them would take for ever.
  onDrain(http, () => live[Symbol.asyncDispose]());
  http.addHook('preClose', async () => await live[Symbol.asyncDispose]());
  const shared = {
    ...{ ...store, config, clients, replicas, nodes, nodePositions: patient.nodePositions },
    ...{ stalls, logEnds, live, partitions, validityRules, requests, erasures, now, wait },
    ...{ keyBook: keys.book, readKeysToEnd: keys.readToEnd, appendKeyChange },
    ...{ storeFor, routing: splitAds, ...signIn, oidc, log, isOverTls: clients.isOverTls },
    rules: () => ({ now: now(), maxMinutes: config.QUERY_MAX_RANGE_MINUTES }),
    keptForms: createKeptForms(privacyKeysOf(config)),
    ...{ maxOpen: config.JOBS_MAX_OPEN, maxOpenPerClient: config.JOBS_MAX_OPEN_PER_CLIENT, quotas, rawSeconds },
    listenersOf: listenersOf(config, quotas),
  };
  await http.register(async scope => routeVersion1(scope, shared));
  await http.register(async scope => routeDashboard(scope));
  return http;
}

interface StoresOptions extends Pick<StoreOptions, 'clickhouse' | 'now' | 'requests' | 'sinkPositions' | 'splitRules'> {
  readonly config: QueryApiConfig;
  readonly replicas: Replicas;
  readonly splitAds: AdStoresOptions['routing'];
}

/** The store with all that is in it, and those that a request is answered from. */
function openStores({ config, replicas, splitAds, ...options }: StoresOptions) {
  const storeOptions = {
    ...{ ...options, each: replicas.each, nodes: replicas.nodes, shards: replicas.shards },
    timeoutMs: config.QUERY_TIMEOUT_MS,
    exportTimeoutMs: config.EXPORT_TIMEOUT_MS,
  };
  const store = openStore(storeOptions);
  return { store, storeFor: storeForSenders(openAdStores({ ...storeOptions, whole: store, routing: splitAds })) };
}

function httpLimitsOf(config: QueryApiConfig, rawSeconds: RawSeconds) {
  return {
    bodyLimitBytes: 16 * 1_024,
    rateLimit: createRateLimit({
      perMinute: config.QUERY_API_RATE_LIMIT_PER_MINUTE,
      unit: 'requests',
      setting: 'QUERY_API_RATE_LIMIT_PER_MINUTE',
    }),
    operationsPort: config.QUERY_API_OPS_PORT,
    origins: config.QUERY_API_CORS_ORIGIN,
    answers: {
      ...{ timeoutMs: config.QUERY_ANSWER_TIMEOUT_MS, setting: 'QUERY_ANSWER_TIMEOUT_MS', isRaw: asksForRaw },
      onPlaceHeld: rawSeconds.charge,
    },
  };
}

function keyLimitsOf(
  config: QueryApiConfig,
  { clients, quotaShares, log }: Required<Pick<QueryApiDeps, 'quotaShares' | 'log'>> & { readonly clients: Clients },
) {
  const quotas = new KeyQuotas({ defaults: quotasOf(config), shares: quotaShares });
  const countConnection = keyConnections(quotas, clients);
  const withinQuotas: HttpOptions['withinQuotas'] = ({ raw }, _reply, key) => countConnection(raw.socket, key);
  const report = keysAtQuota(quotas, quotaNames, log);
  return {
    quotas,
    /** Updates the metrics of quotas, and others. */
    reportingToo: (others: () => Promise<void>) => async () => {
      report();
      await others();
    },
    rawSeconds: createRawSeconds({ clients, quotas, perMinute: config.QUERY_RAW_SECONDS_PER_CLIENT }),
    withinQuotas,
  };
}

/** Sessions of persons are looked at, too. */
function withPersons(keys: NonNullable<QueryApiDeps['keys']>, sessionKey: KeyObject) {
  const checkSession = createPersonSessionCheck(sessionKey, id => keys.book.get(id), keys.checkSession);
  return { ...keys, checkSession };
}

/** What routes need for browsers that are signed in. */
function signInOf(config: QueryApiConfig, keyGate: KeyGate, clients: Clients) {
  const sessions = sessionCookies(clients.isOverTls);
  const isLetIn = lastingAdmission({ keys: keyGate, sessions });
  return { keyGate, sessions, isLetIn, sessionHours: config.QUERY_API_SESSION_HOURS };
}

function liveLimitsOf(config: QueryApiConfig) {
  return { maxClients: config.QUERY_API_LIVE_MAX_CLIENTS, maxBufferBytes: config.QUERY_API_LIVE_BUFFER_BYTES };
}

function listenersOf(config: QueryApiConfig, quotas: KeyQuotas) {
  const setting = 'QUERY_API_LIVE_MAX_PER_CLIENT';
  return clientSlots({
    maxPerClient: config[setting],
    ...{ code: 'client_listeners', what: 'listeners', setting, retryAfterS: 10 },
    ofKey: { quotas, name: 'live_listeners' },
  });
}

/**
 * The page loads nothing from other hosts. `upgrade-insecure-requests` is left out, because the page may be served over
 * plain HTTP.
 */
const docsPolicy =
  "default-src 'self'; base-uri 'self'; frame-ancestors 'self'; img-src 'self' data:; object-src 'none'; style-src 'self' 'unsafe-inline'";

const unasked = () => Promise.reject(new Retryable('this process knows no brokers'));
