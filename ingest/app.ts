/**
 * The HTTP side of ingest. `202` says that the clicks counted in `accepted` are in the log as `INGEST_ACKS` asks
 * (default: on all in-sync replicas); `503` says that they may or may not be, and that posting them again with the same
 * event_id is safe. Bodies are taken as bytes and judged click by click, without fastify's parsers and validators.
 */
import type { Readable } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { Retryable } from '../infra/errors.ts';
import { createHttp, type Http, Problem, ProblemSchema, refuseOtherMethods } from '../infra/http.ts';
import { type Client, type Clients, createClients } from '../infra/http-clients.ts';
import { createRateLimit } from '../infra/http-rate-limit.ts';
import type { Life } from '../infra/life.ts';
import type { Logger } from '../infra/log.ts';
import { counter } from '../infra/metrics.ts';
import { type TraceContext, traceContextOf } from '../infra/trace-context.ts';
import { type ClickBatch, maxRejectionsTold } from './click-batch.ts';
import { ClickBody } from './click-body.ts';
import { createClickJudge } from './click-judge.ts';
import type { ClickLog } from './click-log.ts';
import { type IngestConfig, trustedProxiesOf } from './config.ts';
import { createBodyReader } from './request-body.ts';
import { createWaitingClicks, type WaitingClicks } from './waiting-clicks.ts';

export interface IngestDeps {
  readonly config: IngestConfig;
  readonly clickLog: Pick<ClickLog, 'append' | 'refusal'>;
  readonly log: Logger;
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

export async function buildIngestApp({
  config,
  clickLog,
  log,
  kafkaReady,
  rulesKnown,
  partitionsAgree = () => {},
  now = Date.now,
  life,
}: IngestDeps): Promise<Http> {
  const clients = createClients({ proxies: trustedProxiesOf(config) });
  const rateLimit = createRateLimit({
    perMinute: config.INGEST_RATE_LIMIT_PER_MINUTE,
    unit: 'clicks',
    setting: 'INGEST_RATE_LIMIT_PER_MINUTE',
  });
  const http = await createHttp({
    title: 'Ad click ingest',
    description: 'Takes clicks and answers when they are safely in the log.',
    tags: { clicks: 'Clicks in' },
    log,
    config,
    bodyLimitBytes: config.INGEST_BODY_LIMIT_BYTES,
    clients,
    rateLimit,
    operationsPort: config.INGEST_OPS_PORT,
    servesPages: false,
    readiness: { kafka: kafkaReady, hot_ads: rulesKnown, partitions: partitionsAgree },
    life,
  });
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
    // The schema only documents the body: `click-body.ts` checks it.
    validatorCompiler: () => () => true,
    handler: async (request, reply) => {
      const refusal = clickLog.refusal();
      if (refusal) throw unavailable(refusal);
      if (!isPieces(request.body)) throw new Problem(400, 'empty_body', 'the body must hold at least one click');
      const format = isJson(request.headers['content-type']) ? 'json' : 'ndjson';
      const trace = traceContextOf(request.headers);
      const client = clients.of(request.raw);
      // One was taken when the request came; what its body costs to judge, whatever is in it, is taken before.
      const costKib = Math.max(request.body.reduce((sum, piece) => sum + piece.length, 0) >> 10, 1);
      rateLimit.charge(client, costKib - 1);
      const { taken } = await judge(client, request.body, format, now(), batch => {
        rateLimit.charge(client, Math.max(batch.lines.count + batch.rejectedTotal - costKib, 0));
        // While the clicks wait for Kafka, their lines count as buffered; the body must not stay in memory beside them.
        request.body = undefined;
        return accept({ clickLog, waiting, client, trace }, batch);
      });
      const answer = await taken;
      request.log.debug({ accepted: answer.accepted, rejected: answer.rejected_total }, 'clicks accepted');
      return reply.code(202).send(answer);
    },
  });
  refuseOtherMethods(http, '/v1/clicks', ['POST']);
  return http;
}

interface Accepting {
  readonly clickLog: IngestDeps['clickLog'];
  readonly waiting: WaitingClicks;
  readonly client: Client;
  readonly trace: TraceContext | undefined;
}

async function accept({ clickLog, waiting, client, trace }: Accepting, { lines, rejected, rejectedTotal }: ClickBatch) {
  if (rejectedTotal > 0) outcomes.inc({ outcome: 'rejected' }, rejectedTotal);
  const accepted = lines.count;
  if (accepted === 0) {
    const [first] = rejected;
    throw new Problem(
      400,
      'no_valid_click',
      first ? `no click is valid; the first: ${first.message}` : 'the body holds no click',
      { rejected, rejected_total: rejectedTotal },
    );
  }
  try {
    // It copies the lines before it waits: they hold until the next request is parsed.
    await waiting.during(client, lines.end, () => clickLog.append(lines, trace, client.network));
  } catch (error) {
    if (!(error instanceof Retryable) && !(error instanceof Problem)) throw error;
    outcomes.inc({ outcome: 'unavailable' }, accepted);
    throw error instanceof Problem ? error : unavailable(error);
  }
  outcomes.inc({ outcome: 'accepted' }, accepted);
  return { accepted, rejected: [...rejected], rejected_total: rejectedTotal };
}

function isPieces(body: unknown): body is readonly Buffer[] {
  return Array.isArray(body);
}

/** Bodies arrive at the handler as the bytes that were posted, inflated. */
function takeBytes(http: Http, config: IngestConfig, clients: Clients): void {
  const readBody = createBodyReader({
    limitBytes: config.INGEST_BODY_LIMIT_BYTES,
    budgetBytes: config.INGEST_MAX_BUFFER_BYTES,
    clientBudgetBytes: config.INGEST_CLIENT_BUFFER_BYTES,
    minBytesPerSecond: config.INGEST_MIN_BODY_BYTES_PER_SECOND,
  });
  http.removeAllContentTypeParsers();
  // navigator.sendBeacon can send text/plain without asking the server first: its lines are NDJSON.
  http.addContentTypeParser(
    ['application/json', 'application/x-ndjson', 'text/plain'],
    (request: FastifyRequest, stream: Readable) => readBody(clients.of(request.raw), request.headers, stream),
  );
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

const ndjson = Type.String({ description: 'one click, as in application/json, per line; blank lines are skipped' });

const routeSchema = {
  tags: ['clicks'],
  operationId: 'postClicks',
  summary: 'Post one click or many',
  description:
    'Content-Encoding: gzip is understood. Each click is judged alone; what is accepted is in the log before the answer is sent.',
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
        accepted: Type.Integer({ description: 'clicks that are in the log now' }),
        rejected: Type.Array(
          Type.Object({
            index: Type.Integer({
              description: 'of the click in the array, or of its line among those not blank, from 0',
            }),
            code: Type.String({
              description:
                'invalid_json, too_large, too_deep, not_an_object, missing_field, invalid_field, too_old or too_far_ahead',
            }),
            message: Type.String({ description: 'names field, value and rule' }),
          }),
          { description: `the first ${maxRejectionsTold} of them, in the order of the clicks` },
        ),
        rejected_total: Type.Integer({ description: 'clicks that are rejected, with those that are only counted' }),
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

const outcomes = counter('clicks_total', 'Clicks posted', ['outcome']);
for (const outcome of ['accepted', 'rejected', 'unavailable']) outcomes.inc({ outcome }, 0);
