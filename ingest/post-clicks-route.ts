/**
 * Serves `POST /v1/clicks`: clicks of one body, checked one by one, are in the log before the answer.
 *
 * `202` means that the clicks counted in `accepted` are in the log as `INGEST_ACKS` requires (by default, on all
 * in-sync replicas). `503` means that they may or may not be, and that posting them again with the same event_id is
 * safe.
 */
import { brokenRule, shown } from '../infra/broken-rule.ts';
import { Retryable } from '../infra/errors.ts';
import { type Http, Problem, refuseOtherMethods } from '../infra/http.ts';
import type { Client, Clients } from '../infra/http-clients.ts';
import type { RateLimit } from '../infra/http-rate-limit.ts';
import { writableWith } from '../infra/keys/tenant.ts';
import { counter } from '../infra/metrics.ts';
import { type TraceContext, traceContextOf } from '../infra/trace-context.ts';
import type { ClickBatch } from './click-batch.ts';
import { optionalFields } from './click-body.ts';
import { createClickJudge } from './click-judge.ts';
import type { ClickLog } from './click-log.ts';
import { maxFieldsTold, maxNameLength } from './click-notes.ts';
import type { IngestConfig } from './config.ts';
import type { ClickTime } from './hot-ads/receipt-clock.ts';
import type { KeptFields } from './kept-click.ts';
import type { KeyLimits } from './key-limits.ts';
import { postClicksSchema } from './post-clicks-schema.ts';
import { createWaitingClicks, type WaitingClicks } from './waiting-clicks.ts';

export interface PostedClicksDeps {
  readonly config: IngestConfig;
  readonly clickLog: Pick<ClickLog, 'append' | 'refusal'>;
  readonly clients: Clients;
  readonly rateLimit: RateLimit;
  readonly keyLimits: KeyLimits;
  /** What is kept of fields that say who a person is. Left out: all of them. */
  readonly kept?: KeptFields;
  readonly clickTime: ClickTime;
}

export function routePostedClicks(http: Http, deps: PostedClicksDeps): void {
  const { config, clickLog, clients, rateLimit, keyLimits, kept = {}, clickTime } = deps;
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
      const posting = { receivedAt: clickTime.now(), isStrict, adIdPrefixes: writableWith(request.apiKey) };
      const { taken } = await judge(client, request.body, format, posting, batch => {
        rateLimit.charge(client, Math.max(batch.lines.count + batch.rejectedTotal - costKib, 0));
        keyLimits.takeFurther(request.apiKey, batch.lines.count + batch.rejectedTotal - 1);
        // While the clicks wait for Kafka, their lines count as buffered. The body must not stay in memory in addition.
        request.body = undefined;
        requireTime(clickTime, batch);
        return accept({ clickLog, waiting, client, trace, unknown }, batch);
      });
      const answer = await taken;
      request.log.debug({ accepted: answer.accepted, rejected: answer.rejected_total }, 'clicks accepted');
      keyLimits.tell(reply, request.apiKey);
      return reply.code(202).send(answer);
    },
  });
  refuseOtherMethods(http, '/v1/clicks', ['POST']);
}

/** What is refused for its time may be right while nobody knows the time, so nothing is refused for good. @throws Problem */
function requireTime(clickTime: ClickTime, { rejected, rejectedTotal, lines }: ClickBatch): void {
  const isForTime = rejected.some(({ code }) => code === 'too_old' || code === 'too_far_ahead');
  // Of many, not all are listed. One of the others may be refused for its time.
  if (!isForTime && rejected.length === rejectedTotal) return;
  const doubt = clickTime.doubt();
  if (doubt === undefined) return;
  outcomes.inc({ outcome: 'unavailable' }, lines.count + rejectedTotal);
  throw unavailable(new Retryable(doubt));
}

interface Accepting {
  readonly clickLog: PostedClicksDeps['clickLog'];
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
