/**
 * Serves the HTTP API of ingest.
 *
 * `202` means that the clicks counted in `accepted` are in the log as `INGEST_ACKS` requires (by default, on all
 * in-sync replicas). `503` means that they may or may not be, and that posting them again with the same event_id is
 * safe. Bodies are read as bytes and checked click by click, without fastify's parsers and validators.
 */
import type { Readable } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { brokenRule, shown } from '../infra/broken-rule.ts';
import { Retryable } from '../infra/errors.ts';
import { createHttp, type Http, Problem, ProblemSchema, refuseOtherMethods } from '../infra/http.ts';
import { type Client, type Clients, createClients } from '../infra/http-clients.ts';
import { createRateLimit, type RateLimit } from '../infra/http-rate-limit.ts';
import { keyModeOf } from '../infra/keys/config.ts';
import { createKeyGate, type KeyGate, type KnownKeys, unreadKeys } from '../infra/keys/key-gate.ts';
import type { Life } from '../infra/life.ts';
import type { Logger } from '../infra/log.ts';
import { counter } from '../infra/metrics.ts';
import { type TraceContext, traceContextOf } from '../infra/trace-context.ts';
import { type ClickBatch, maxRejectionsTold } from './click-batch.ts';
import { optionalFields } from './click-body.ts';
import { createClickJudge } from './click-judge.ts';
import type { ClickLog } from './click-log.ts';
import { maxFieldsTold, maxNameLength } from './click-notes.ts';
import { ClickBody } from './click-schema.ts';
import { type IngestConfig, trustedProxiesOf } from './config.ts';
import type { LinkSpool } from './links/keep-click.ts';
import { type LinkKeys, noLinkKeys } from './links/link-keys.ts';
import { routeLinks } from './links/link-route.ts';
import { createBodyReader } from './request-body.ts';
import { createWaitingClicks, type WaitingClicks } from './waiting-clicks.ts';

export interface IngestDeps {
  readonly config: IngestConfig;
  readonly clickLog: Pick<ClickLog, 'append' | 'refusal'>;
  readonly log: Logger;
  /** Left out: none is known, and who needs one is not let in. */
  readonly keys?: KnownKeys;
  /** Of click links. Left out: there are none. */
  readonly linkKeys?: () => LinkKeys;
  /** Where clicks of links are kept that Kafka does not take. */
  readonly spool?: LinkSpool | undefined;
  /** Resolves when Kafka answers and has the topic. */
  readonly kafkaReady: () => Promise<void>;
  /** Throws unless every click that may be posted can be routed. */
  readonly rulesKnown: () => void;
  /** Throws unless the topics have the partitions that are recorded. */
  readonly partitionsAgree?: () => void;
  /** Epoch ms: the time of receipt. */
  readonly now?: () => number;
  readonly life?: Life;
}

export async function buildIngestApp(deps: IngestDeps): Promise<Http> {
  const { config, clickLog, keys = unreadKeys, linkKeys = () => noLinkKeys, now = Date.now, spool, log } = deps;
  const clients = createClients({ proxies: trustedProxiesOf(config) });
  const rateLimit = createRateLimit({
    perMinute: config.INGEST_RATE_LIMIT_PER_MINUTE,
    unit: 'clicks',
    setting: 'INGEST_RATE_LIMIT_PER_MINUTE',
  });
  const keyGate = createKeyGate({ mode: keyModeOf(config), keys, now });
  const http = await openServer(deps, { clients, rateLimit, keys: keyGate });
  takeBytes(http, config, clients);
  const { judge } = createClickJudge({
    maxItems: config.INGEST_MAX_ITEMS,
    maxWaitingBytes: config.INGEST_MAX_BUFFER_BYTES,
    clientBudgetBytes: config.INGEST_CLIENT_BUFFER_BYTES,
  });

  const waiting = createWaitingClicks({
    maxBytes: config.INGEST_MAX_BUFFER_BYTES,
    clientBytes: config.INGEST_CLIENT_BUFFER_BYTES,
  });

  http.post('/v1/clicks', {
    schema: routeSchema,
    config: { scope: 'ingest' },
    // The schema only documents the body. `click-body.ts` checks it.
    validatorCompiler: () => () => true,
    handler: async (request, reply) => {
      const refusal = clickLog.refusal();
      if (refusal) throw unavailable(refusal);
      if (!isPieces(request.body)) throw new Problem(400, 'empty_body', 'the body must contain at least one click');
      const format = isJson(request.headers['content-type']) ? 'json' : 'ndjson';
      const trace = traceContextOf(request.headers);
      const client = clients.of(request.raw);
      // One unit was taken when the request arrived. The cost of checking its body, whatever is in it, is taken before
      // the check.
      const costKib = Math.max(request.body.reduce((sum, piece) => sum + piece.length, 0) >> 10, 1);
      rateLimit.charge(client, costKib - 1);
      const { isStrict, unknown } = askedOf(request.query);
      const posting = { receivedAt: now(), isStrict, adIdPrefix: request.apiKey?.created.ad_id_prefix };
      const { taken } = await judge(client, request.body, format, posting, batch => {
        rateLimit.charge(client, Math.max(batch.lines.count + batch.rejectedTotal - costKib, 0));
        // While the clicks wait for Kafka, their lines count as buffered. The body must not stay in memory in addition.
        request.body = undefined;
        return accept({ clickLog, waiting, client, trace, unknown }, batch);
      });
      const answer = await taken;
      request.log.debug({ accepted: answer.accepted, rejected: answer.rejected_total }, 'clicks accepted');
      return reply.code(202).send(answer);
    },
  });
  refuseOtherMethods(http, '/v1/clicks', ['POST']);
  const safeLanding = config.INGEST_LINK_SAFE_LANDING;
  routeLinks(http, { clients, clickLog, spool, log, keys: linkKeys, safeLanding, now });
  return http;
}

/** The server with all that does not depend on the route: limits, health, metrics and documentation. */
function openServer(
  { config, log, kafkaReady, rulesKnown, partitionsAgree = () => {}, life }: IngestDeps,
  guards: { readonly clients: Clients; readonly rateLimit: RateLimit; readonly keys: KeyGate },
): Promise<Http> {
  return createHttp({
    title: 'Ad click ingest',
    description: 'Takes clicks, and answers when they are safely in the log.',
    tags: { clicks: 'Clicks in' },
    log,
    config,
    bodyLimitBytes: config.INGEST_BODY_LIMIT_BYTES,
    ...guards,
    operationsPort: config.INGEST_OPS_PORT,
    servesPages: false,
    readiness: { kafka: kafkaReady, hot_ads: rulesKnown, partitions: partitionsAgree, ...guards.keys.readiness },
    life,
  });
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
  const { lines, rejected, rejectedTotal, ignoredFields, warnings } = batch;
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
    readBody(clients.of(request.raw), request.headers, stream),
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

const ndjson = Type.String({
  description:
    'one click per line, as in application/json; blank lines are skipped. `application/ndjson`, `application/jsonl`, `application/jsonlines` and `text/plain` mean the same',
});

const routeSchema = {
  tags: ['clicks'],
  operationId: 'postClicks',
  summary: 'Post one click or many',
  description:
    'The body is UTF-8, with or without a byte order mark, and may have Content-Encoding gzip (or x-gzip). Each click is checked separately. Accepted clicks are in the log before the answer is sent. A click is refused if its ad_id, event_id or clicked_at breaks a rule. If `country`, `user_id` or `ip` breaks a rule, that field is left out, and the click counts.',
  querystring: Type.Object({
    strict: Type.Optional(
      Type.Boolean({
        default: false,
        description:
          'refuse clicks that have unknown fields, or fields that would be left out (see `ignored_fields` and `warnings`)',
      }),
    ),
  }),
  body: {
    content: {
      'application/json': { schema: Type.Union([ClickBody, Type.Array(ClickBody, { minItems: 1 })]) },
      'application/x-ndjson': { schema: ndjson },
      'text/plain': { schema: ndjson },
    },
  },
  response: {
    202: Type.Object(
      {
        accepted: Type.Integer({ description: 'number of clicks that are in the log now' }),
        rejected: Type.Array(
          Type.Object({
            index: Type.Integer({
              description:
                'position of the click in the array, or of its line among the lines that are not blank; the first is 0',
            }),
            code: Type.String({
              description:
                'invalid_json, too_large, too_deep, not_an_object, missing_field, invalid_field, unknown_field, too_old, too_far_ahead or forbidden_ad',
            }),
            message: Type.String({ description: 'names field, value and rule' }),
          }),
          { description: `the first ${maxRejectionsTold} rejected clicks, in the order of the clicks` },
        ),
        rejected_total: Type.Integer({
          description: 'number of all rejected clicks, including those that are not listed',
        }),
        ignored_fields: Type.Array(Type.String(), {
          description: `names of unknown fields in all clicks together, which were ignored: the first ${maxFieldsTold}, each cut after ${maxNameLength} characters. Unknown parameters are listed, too, with a \`?\` in front`,
        }),
        warnings: Type.Array(
          Type.Object({
            field: Type.String({ description: `${optionalFields.join(', ')}` }),
            clicks: Type.Integer({ description: 'number of clicks that count without it' }),
            index: Type.Integer({ description: 'position of the first of these clicks, as in `rejected`' }),
            message: Type.String({ description: 'what is wrong in that click' }),
          }),
          { description: 'fields that broke a rule and were left out of accepted clicks; each field is listed once' },
        ),
      },
      { description: 'At least one click is accepted' },
    ),
    400: ProblemSchema,
    413: ProblemSchema,
    415: ProblemSchema,
    429: ProblemSchema,
    503: ProblemSchema,
  },
};

const outcomes = counter('clicks_total', 'Clicks that were posted, by outcome', ['outcome']);
const droppedFields = counter(
  'click_fields_dropped_total',
  'Fields that were left out of accepted clicks because they broke a rule',
  ['field'],
);
for (const field of optionalFields) droppedFields.inc({ field }, 0);
for (const outcome of ['accepted', 'rejected', 'unavailable']) outcomes.inc({ outcome }, 0);
