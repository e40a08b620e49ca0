/** The query API: counts, top lists, series and the state of the pipeline over HTTP, and jobs that recount. */
import { setTimeout as sleep } from 'node:timers/promises';
import cors from '@fastify/cors';
import swaggerUi from '@fastify/swagger-ui';
import { cached } from '../infra/cached.ts';
import { type ClickHouse, readingAs } from '../infra/clickhouse/clickhouse.ts';
import { clientSlots } from '../infra/client-slots.ts';
import { Retryable } from '../infra/errors.ts';
import { createHttp, type Http, type HttpOptions, refuseOtherMethods } from '../infra/http.ts';
import { type Clients, createClients } from '../infra/http-clients.ts';
import { onDrain } from '../infra/http-drain.ts';
import { createRateLimit } from '../infra/http-rate-limit.ts';
import { inTime } from '../infra/in-time.ts';
import type { Life } from '../infra/life.ts';
import type { Logger } from '../infra/log.ts';
import type { StoreNodes } from './answers/nodes-status.ts';
import { createPipelineMetrics } from './answers/pipeline-metrics.ts';
import { createStallWatch } from './answers/stalled-partitions.ts';
import { type QueryApiConfig, trustedProxiesOf } from './config.ts';
import { tagAnswers } from './http/etag.ts';
import { failOver } from './http/failover.ts';
import { keepPrivate } from './http/private-answers.ts';
import { asksForRaw } from './http/raw-requests.ts';
import { answerRows } from './http/rows-hook.ts';
import { asUnavailable } from './http/unavailable.ts';
import type { Pipeline } from './log/counted-log.ts';
import type { Routing } from './log/hot-ad-rules.ts';
import { logEndsOf } from './log/log-ends.ts';
import type { Partitions } from './log/partitions.ts';
import { patientPipeline } from './log/patient-log.ts';
import type { RequestLog } from './log/request-log.ts';
import { oneReplica, type Replicas } from './replicas/replicas.ts';
import type { RouteDeps } from './route-deps.ts';
import { routeAdSearch } from './routes/ads/ad-search.ts';
import { routeAggregatedCount } from './routes/ads/aggregated-count.ts';
import { routeAllSeries } from './routes/ads/all-series.ts';
import { routeCountries } from './routes/ads/countries.ts';
import { routeMostClicked } from './routes/ads/most-clicked.ts';
import { routePopularAds } from './routes/ads/popular-ads.ts';
import { routeRestatements } from './routes/ads/restatements.ts';
import { routeSeries } from './routes/ads/series.ts';
import { routeClickAudit } from './routes/clicks/click-audit.ts';
import { routeDashboard } from './routes/dashboard/dashboard.ts';
import { createExportSlots } from './routes/exports/export-slots.ts';
import { routeExports } from './routes/exports/exports.ts';
import { routeQuarantineExport } from './routes/exports/quarantine-export.ts';
import { routeFilters } from './routes/filters/filters.ts';
import { createAskedJobs } from './routes/jobs/asked-jobs.ts';
import { createJobRequests } from './routes/jobs/job-requests.ts';
import { routeReconciliations } from './routes/jobs/reconciliations.ts';
import { routeReplays } from './routes/jobs/replays.ts';
import { routeLive } from './routes/live/live.ts';
import { createLiveFeed } from './routes/live/live-feed.ts';
import { readLive } from './routes/live/live-reading.ts';
import { routePartitions } from './routes/pipeline/partitions.ts';
import { routeQuarantine } from './routes/pipeline/quarantine.ts';
import { routeStatus } from './routes/pipeline/status.ts';
import { createQueries } from './store/ad-counts.ts';
import { createAuditQueries } from './store/click-copies.ts';
import { createExportQueries } from './store/exports.ts';
import { createFilterStore } from './store/filters/filter-store.ts';
import { createGroupQueries } from './store/group-counts.ts';
import { createConservationStore } from './store/jobs/conservation-store.ts';
import { createJobStore } from './store/jobs/job-store.ts';
import { createRunnerStore } from './store/jobs/runner-store.ts';
import { createLateClicks } from './store/late-clicks.ts';
import { createQuarantineQueries } from './store/quarantine.ts';
import { createRawQueries } from './store/raw-counts.ts';
import { createRawCoverage } from './store/raw-coverage.ts';
import { createReplicaCheckStore } from './store/replicas/replica-check-store.ts';
import { createRestatementQueries } from './store/restatements.ts';
import { createBlockDirectory } from './store/rollup/block-directory.ts';
import { createHistoryQueries } from './store/rollup/history.ts';
import { createTopQueries } from './store/rollup/top-lists.ts';
import { createStatedReading } from './store/sql/stated-rows.ts';

export interface QueryApiDeps {
  readonly config: QueryApiConfig;
  readonly clickhouse: ClickHouse;
  /** Of which `clickhouse` reads one or another; left out: it is the only node. */
  readonly replicas?: Replicas;
  /** Left out: it is the only one. */
  readonly nodes?: StoreNodes;
  readonly log: Logger;
  /** Epoch ms. */
  readonly now: () => number;
  readonly pipeline: Pipeline;
  /** Which ads are split, over how many partitions; where it is left out, none and nothing recorded. */
  readonly routing?: () => Promise<Routing>;
  /** What people ask for and store; where it is left out, nobody can be asked. */
  readonly requests?: RequestLog;
  /** Where it is left out, nobody can be asked. */
  readonly partitions?: Partitions;
  /** What else this process needs to be ready, where it does more than answer. */
  readonly readiness?: HttpOptions['readiness'];
  readonly life?: Life;
  readonly wait?: RouteDeps['wait'];
}

export async function buildQueryApi({
  config,
  clickhouse,
  replicas = oneReplica('clickhouse', clickhouse),
  nodes = { list: [{ name: 'clickhouse', shard: 0 }], reports: () => [] },
  log,
  now,
  pipeline,
  routing = () => Promise.resolve({ rules: [], partitionRules: [] }),
  requests = { append: unasked, [Symbol.asyncDispose]: () => Promise.resolve() },
  partitions = { read: unasked, grow: unasked },
  readiness,
  life,
  wait = sleep,
}: QueryApiDeps): Promise<Http> {
  const timeouts = { timeoutMs: config.QUERY_TIMEOUT_MS };
  const queries = createQueries(clickhouse, timeouts);
  const lateClicksAt = replicas.each(() => createLateClicks({ clickhouse, now }));
  const lateClicks = async () => await lateClicksAt()();
  const patient = patientPipeline(pipeline, now, replicas.each);
  const clients = createClients({ proxies: trustedProxiesOf(config) });
  const http = await createHttp({
    title: 'Ad click counts: query API',
    description:
      'Exact clicks per ad and minute, each answer with its state and the watermark it stands on. Times are UTC.',
    tags: {
      filters: 'Filters with a name, for `filter=`',
      ads: 'Clicks per ad, top lists, series, and how final counts were changed',
      clicks: 'What became of one click',
      jobs: 'Recounts and comparisons with raw clicks',
      pipeline: 'How far counting is, whether it adds up, what was not counted, and what happens now',
      exports: 'All rows of a range, for who works on with them.',
    },
    log,
    bodyLimitBytes: 16 * 1_024,
    config,
    clients,
    rateLimit: createRateLimit({
      perMinute: config.QUERY_API_RATE_LIMIT_PER_MINUTE,
      unit: 'requests',
      setting: 'QUERY_API_RATE_LIMIT_PER_MINUTE',
    }),
    operationsPort: config.QUERY_API_OPS_PORT,
    servesPages: true,
    answers: { timeoutMs: config.QUERY_ANSWER_TIMEOUT_MS, setting: 'QUERY_ANSWER_TIMEOUT_MS', isRaw: asksForRaw },
    readiness: { clickhouse: () => clickhouse.ping(), ...readiness },
    beforeScrape: createPipelineMetrics({ queries, clickhouse, pipeline: patient, nodes, lateClicks, now }),
    life,
  });
  await allowOrigins(http, config);
  await http.register(swaggerUi, { routePrefix: '/docs', staticCSP: docsPolicy, uiConfig: { validatorUrl: null } });
  const own = { config, clients, clickhouse, replicas, nodes, log, now, pipeline: patient, lateClicks };
  const deps = routeDepsOf({ ...own, routing, requests, partitions, wait });
  // Whoever listens is let go as soon as nothing new is taken: waiting for requests would wait for it, too.
  onDrain(http, () => deps.live[Symbol.asyncDispose]());
  http.addHook('preClose', async () => {
    await Promise.all([deps.live[Symbol.asyncDispose](), deps.exportSlots[Symbol.asyncDispose]()]);
  });
  await http.register(async scope => routeVersion1(scope, deps));
  await http.register(async scope => routeDashboard(scope));
  return http;
}

function routeDepsOf({
  config,
  clients,
  clickhouse,
  replicas,
  nodes,
  log,
  now,
  pipeline,
  routing,
  requests,
  partitions,
  lateClicks,
  wait,
}: Omit<Required<QueryApiDeps>, 'readiness' | 'life'> &
  Pick<RouteDeps, 'lateClicks'> & { readonly clients: Clients }): RouteDeps {
  const timeouts = { timeoutMs: config.QUERY_TIMEOUT_MS };
  const blocks = { ...timeouts, shards: replicas.shards };
  const ofRaw = readingAs('raw', clickhouse);
  const queries = createQueries(clickhouse, timeouts);
  const coverage = replicas.each(() =>
    createRawCoverage({ progress: queries.progress, sinkPositions: pipeline.sinkPositions, now }),
  );
  const counts = {
    queries: { ...queries, progress: () => coverage().telling(queries.progress)() },
    groups: createGroupQueries(clickhouse, blocks),
    restatements: createRestatementQueries(clickhouse, timeouts),
    stated: createStatedReading(clickhouse, { ...timeouts, nodes: replicas.nodes }),
    lateClicks,
  };
  const jobs = createJobStore(clickhouse, { ...timeouts, now });
  const jobRequests = createJobRequests(requests, jobs);
  const logEnds = logEndsOf(pipeline);
  const stallWatch = replicas.each(() => createStallWatch(now));
  const stalls: RouteDeps['stalls'] = progress => stallWatch()(progress);
  const routingInTime = cached(() => inTime(routing()).catch(() => undefined), 1_000, now);
  const live = createLiveFeed({
    read: (at, restatedSince) => replicas.reading(() => readLive(counts, at, restatedSince)),
    ...{ logEnds, stalls, now, log },
    maxClients: config.QUERY_API_LIVE_MAX_CLIENTS,
    maxBufferBytes: config.QUERY_API_LIVE_BUFFER_BYTES,
  });
  return {
    ...counts,
    raw: createRawQueries(ofRaw, timeouts),
    rawCoverage: { until: () => coverage().until() },
    filters: createFilterStore(clickhouse, { ...timeouts, requests }),
    tops: createTopQueries(clickhouse, createBlockDirectory(clickhouse, blocks), timeouts),
    history: createHistoryQueries(clickhouse, blocks),
    exports: createExportQueries(ofRaw, { ...timeouts, exportTimeoutMs: config.EXPORT_TIMEOUT_MS }),
    exportSlots: createExportSlots({
      limit: config.EXPORT_MAX_RUNNING,
      minBytesPerSecond: config.EXPORT_MIN_BYTES_PER_SECOND,
    }),
    exportMinBytesPerSecond: config.EXPORT_MIN_BYTES_PER_SECOND,
    exportsOf: clientSlots({
      maxPerClient: config.EXPORT_MAX_RUNNING_PER_CLIENT,
      ...{ code: 'client_exports', what: 'exports', setting: 'EXPORT_MAX_RUNNING_PER_CLIENT', retryAfterS: 10 },
    }),
    listenersOf: clientSlots({
      maxPerClient: config.QUERY_API_LIVE_MAX_PER_CLIENT,
      ...{ code: 'client_listeners', what: 'listeners', setting: 'QUERY_API_LIVE_MAX_PER_CLIENT', retryAfterS: 10 },
    }),
    exportMaxRows: config.EXPORT_MAX_ROWS,
    quarantine: createQuarantineQueries(ofRaw, { ...timeouts, now }),
    audit: createAuditQueries(ofRaw, timeouts),
    askedJobs: createAskedJobs({ ...jobs, ...jobRequests }, config.JOBS_MAX_OPEN),
    ...{ replicas, nodes, nodePositions: pipeline.nodePositions },
    ...{ clients, jobs, jobRequests, live, logEnds, stalls, routing: routingInTime, partitions, now },
    conservation: createConservationStore(clickhouse, timeouts),
    replicaChecks: createReplicaCheckStore(clickhouse, timeouts),
    runners: createRunnerStore(clickhouse, timeouts),
    rules: () => ({ now: now(), maxMinutes: config.QUERY_MAX_RANGE_MINUTES }),
    wait,
  };
}

/** The page loads nothing from elsewhere; it may be served over plain HTTP, so nothing upgrades its requests. */
const docsPolicy =
  "default-src 'self'; base-uri 'self'; frame-ancestors 'self'; img-src 'self' data:; object-src 'none'; style-src 'self' 'unsafe-inline'";

/** All that stands under /v1/: data only, so its answers may load, run and embed nothing. */
function routeVersion1(http: Http, deps: RouteDeps): void {
  http.setErrorHandler(error => {
    throw asUnavailable(error);
  });
  http.addHook('onSend', async (_request, reply) => {
    reply.header('content-security-policy', "default-src 'none'; frame-ancestors 'none'");
  });
  keepPrivate(http);
  tagAnswers(http);
  answerRows(http);
  failOver(http, deps.replicas);
  const paths = new Map<string, string[]>();
  http.addHook('onRoute', ({ url, method }) => {
    paths.set(url, [...(paths.get(url) ?? []), ...[method].flat()]);
  });
  routeAggregatedCount(http, deps);
  routePopularAds(http, deps);
  routeMostClicked(http, deps);
  routeSeries(http, deps);
  routeAllSeries(http, deps);
  routeCountries(http, deps);
  routeAdSearch(http, deps);
  routeFilters(http, deps);
  routeQuarantine(http, deps);
  routeQuarantineExport(http, deps);
  routeStatus(http, deps);
  routePartitions(http, deps);
  routeReplays(http, deps);
  routeReconciliations(http, deps);
  routeRestatements(http, deps);
  routeClickAudit(http, deps);
  routeExports(http, deps);
  routeLive(http, deps);
  for (const [url, allowed] of [...paths]) refuseOtherMethods(http, url, allowed);
}

async function allowOrigins(http: Http, { QUERY_API_CORS_ORIGIN: origins }: QueryApiConfig): Promise<void> {
  if (origins === '') return;
  await http.register(cors, {
    origin: origins === '*' ? '*' : origins.split(','),
    methods: ['GET', 'HEAD'],
    exposedHeaders: [
      'etag',
      'retry-after',
      'x-state',
      'x-pending-late',
      'x-watermark',
      'x-final-until',
      'x-next-cursor',
    ],
    maxAge: 600,
  });
}

const unasked = () => Promise.reject(new Retryable('this process knows no brokers'));
