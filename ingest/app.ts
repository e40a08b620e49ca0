/**
 * Serves the HTTP API of ingest.
 *
 * `202` means that the clicks counted in `accepted` are in the log as `INGEST_ACKS` requires (by default, on all
 * in-sync replicas). `503` means that they may or may not be, and that posting them again with the same event_id is
 * safe. Bodies are read as bytes and checked click by click, without fastify's parsers and validators.
 */
import type { Readable } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import { brokenRule, shown } from '../infra/broken-rule.ts';
import { Retryable } from '../infra/errors.ts';
import { createHttp, type Http, type HttpOptions, Problem, refuseOtherMethods } from '../infra/http.ts';
import { type Client, type Clients, createClients } from '../infra/http-clients.ts';
import { createRateLimit, type RateLimit } from '../infra/http-rate-limit.ts';
import { keyModeOf } from '../infra/keys/config.ts';
import { createKeyGate, type KeyGate, type KnownKeys, unreadKeys } from '../infra/keys/key-gate.ts';
import { type Region, regionOf } from '../infra/keys/region.ts';
import { writableWith } from '../infra/keys/tenant.ts';
import type { Life } from '../infra/life.ts';
import type { Logger } from '../infra/log.ts';
import { counter } from '../infra/metrics.ts';
import type { QuotaMembers } from '../infra/quotas/quota-members.ts';
import { type QuotaShares, wholeQuotas } from '../infra/quotas/quota-shares.ts';
import { type TraceContext, traceContextOf } from '../infra/trace-context.ts';
import { routeBrowserClicks } from './browser/browser-routes.ts';
import type { ClickBatch } from './click-batch.ts';
import { optionalFields } from './click-body.ts';
import { createClickJudge } from './click-judge.ts';
import type { ClickLog } from './click-log.ts';
import { maxFieldsTold, maxNameLength } from './click-notes.ts';
import { type IngestConfig, trustedProxiesOf } from './config.ts';
import type { KeptFields } from './kept-click.ts';
import { createKeyLimits, type KeyLimits } from './key-limits.ts';
import { type LinkKeys, noLinkKeys } from './links/link-keys.ts';
import { routeLinks } from './links/link-route.ts';
import { postClicksSchema } from './post-clicks-schema.ts';
import type { PersonalData } from './privacy/personal-data.ts';
import { createBodyReader } from './request-body.ts';
import { type ClickSpool, createKeepClick } from './spool/keep-click.ts';
import { createWaitingClicks, type WaitingClicks } from './waiting-clicks.ts';

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
  /** Epoch ms: the time of receipt. */
  readonly now?: () => number;
  readonly life?: Life;
  /** Left out: it speaks HTTP. */
  readonly tls?: HttpOptions['tls'];
}

export async function buildIngestApp(deps: IngestDeps): Promise<Http> {
  const { config, clickLog, keys = unreadKeys, linkKeys = () => noLinkKeys, now = Date.now } = deps;
  const { spool, log } = deps;
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
  routeClicks(http, { ...deps, now }, { clients, rateLimit, keyLimits });
  refuseOtherMethods(http, '/v1/clicks', ['POST']);
  const safeLanding = config.INGEST_LINK_SAFE_LANDING;
  const keep = createKeepClick({ clickLog, spool, ...(deps.kept && { kept: deps.kept }) });
  routeLinks(http, { clients, clickLog, keep, log, keys: linkKeys, region, safeLanding, now });
  routeBrowserClicks(http, { clients, rateLimit, takeFurther: keyLimits.takeFurther, clickLog, keep, log, now });
  return http;
}

type ClickRouteDeps = Pick<IngestDeps, 'config' | 'clickLog' | 'kept'> & { readonly now: () => number };

function routeClicks(
  http: Http,
  { config, clickLog, kept = {}, now }: ClickRouteDeps,
  { clients, rateLimit, keyLimits }: Omit<Guards, 'keys'>,
): void {
  const { judge } = createClickJudge({
    maxItems: config.INGEST_MAX_ITEMS,
    maxWaitingBytes: config.INGEST_MAX_BUFFER_BYTES,
    clientBudgetBytes: config.INGEST_CLIENT_BUFFER_BYTES,
    kept,
  });

  const waiting = createWaitingClicks({
    maxBytes: config.INGEST_MAX_BUFFER_BYTES,
    clientBytes: config.INGEST_CLIENT_BUFFER_BYTES,
  });

  http.post('/v1/clicks', {
    schema: postClicksSchema,
    config: { scope: 'ingest', tenants: 'limited' },
    // The schema only documents the body. `click-body.ts` checks it.
    validatorCompiler: () => () => true,
    handler: async (request, reply) => {
      const refusal = clickLog.refusal();
      if (refusal) {
        // How many clicks are in a body that is not read is not known. There is one at least.
        outcomes.inc({ outcome: 'unavailable' });
        throw unavailable(refusal);
      }
      if (!isPieces(request.body)) throw new Problem(400, 'empty_body', 'the body must contain at least one click');
      const format = isJson(request.headers['content-type']) ? 'json' : 'ndjson';
      const trace = traceContextOf(request.headers);
      const client = clients.of(request.raw);
      // One unit was taken when the request arrived. The cost of checking its body, whatever is in it, is taken before
      // the check.
      const bytes = request.body.reduce((sum, piece) => sum + piece.length, 0);
      const costKib = Math.max(bytes >> 10, 1);
      keyLimits.holdUnannounced(request, reply, bytes);
      rateLimit.charge(client, costKib - 1);
      const { isStrict, unknown } = askedOf(request.query);
      const posting = { receivedAt: now(), isStrict, adIdPrefixes: writableWith(request.apiKey) };
      const { taken } = await judge(client, request.body, format, posting, batch => {
        rateLimit.charge(client, Math.max(batch.lines.count + batch.rejectedTotal - costKib, 0));
        keyLimits.takeFurther(request.apiKey, batch.lines.count + batch.rejectedTotal - 1);
        // While the clicks wait for Kafka, their lines count as buffered. The body must not stay in memory in addition.
        request.body = undefined;
        return accept({ clickLog, waiting, client, trace, unknown }, batch);
      });
      const answer = await taken;
      request.log.debug({ accepted: answer.accepted, rejected: answer.rejected_total }, 'clicks accepted');
      keyLimits.tell(reply, request.apiKey);
      return reply.code(202).send(answer);
    },
  });
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
    return address === undefined ? '' : (personal.keptIp(address, now()) ?? '');
  };
}

interface Accepting {
  readonly clickLog: IngestDeps['clickLog'];
  readonly waiting: WaitingClicks;
  readonly client: Client;
  readonly trace: TraceContext | undefined;
  /** Query parameters that do not exist, with their `?`. */
  readonly unknown: readonly string[];
}

async function accept({ clickLog, waiting, client, trace, unknown }: Accepting, batch: ClickBatch) {
  const { lines, rejected, rejectedTotal, madeEventIds, ignoredFields, warnings } = batch;
  const ignored_fields = [...ignoredFields, ...unknown];
  if (rejectedTotal > 0) outcomes.inc({ outcome: 'rejected' }, rejectedTotal);
  const accepted = lines.count;
  if (accepted === 0) {
    const [first] = rejected;
    throw new Problem(
      400,
      'no_valid_click',
      first ? `no click is valid; the first one: ${first.message}` : 'the body contains no click',
      { rejected, rejected_total: rejectedTotal, ignored_fields },
    );
  }
  try {
    // The lines are copied before the wait, because they are valid only until the next request is parsed.
    await waiting.during(client, lines.end, () => clickLog.append(lines, trace, client.network));
  } catch (error) {
    if (!(error instanceof Retryable) && !(error instanceof Problem)) throw error;
    outcomes.inc({ outcome: 'unavailable' }, accepted);
    throw error instanceof Problem ? error : unavailable(error);
  }
  outcomes.inc({ outcome: 'accepted' }, accepted);
  for (const { field, clicks } of warnings) droppedFields.inc({ field }, clicks);
  return {
    accepted,
    rejected: [...rejected],
    rejected_total: rejectedTotal,
    made_event_ids: madeEventIds.map(({ index, eventId: event_id }) => ({ index, event_id })),
    ignored_fields,
    warnings: [...warnings],
  };
}

/** @throws Problem */
function askedOf(query: unknown): { isStrict: boolean; unknown: string[] } {
  const { strict, ...others } = query as Record<string, unknown>;
  const unknown = Object.keys(others)
    .slice(0, maxFieldsTold)
    .map(name => `?${name.slice(0, maxNameLength).toWellFormed()}`);
  if (strict !== undefined && strict !== 'true' && strict !== 'false') {
    const rule = 'must be true or false';
    throw new Problem(400, 'invalid_parameter', brokenRule('strict', strict, rule), { field: 'strict', rule });
  }
  if (strict !== 'true' || unknown.length === 0) return { isStrict: strict === 'true', unknown };
  const rule =
    'is not a parameter of this request, and ?strict=true refuses unknown parameters; the only parameter is strict';
  throw new Problem(400, 'invalid_parameter', `${shown(unknown[0])} ${rule}`);
}

function isPieces(body: unknown): body is readonly Buffer[] {
  return Array.isArray(body);
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

function isJson(contentType: string | undefined): boolean {
  return contentType !== undefined && /^\s*application\/json\b/i.test(contentType);
}

function unavailable(reason: Retryable): Problem {
  return new Problem(
    503,
    'unavailable',
    `${reason.message}; post the same clicks again, with the same event_id`,
    {},
    1,
  );
}

const outcomes = counter(
  'clicks_total',
  'Clicks that were posted, by outcome. A body that is not read, because the buffer is full, counts as one click',
  ['outcome'],
);
const droppedFields = counter(
  'click_fields_dropped_total',
  'Fields that were left out of accepted clicks because they broke a rule',
  ['field'],
);
for (const field of optionalFields) droppedFields.inc({ field }, 0);
for (const outcome of ['accepted', 'rejected', 'unavailable']) outcomes.inc({ outcome }, 0);
