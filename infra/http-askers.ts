/**
 * Ends the work for a request when its client has gone or when the time for an answer to begin is over. An answer that
 * is being streamed by then (an export, events) lives until its connection closes.
 */
import type { IncomingMessage } from 'node:http';
import type { FastifyRequest } from 'fastify';
import { askedBy } from './asking.ts';
import { Unserved } from './errors.ts';
import type { Clients } from './http-clients.ts';
import type { Http } from './http-instance.ts';
import { operationPaths } from './http-operations.ts';

export interface AnswerLimits {
  /** Until an answer has begun. */
  readonly timeoutMs: number;
  /** The variable that says so. */
  readonly setting: string;
  /** Whether it asks for raw clicks, as far as its address tells. */
  readonly isRaw?: (request: FastifyRequest) => boolean;
}

/** Of a request whose answer has not begun. */
interface Unanswered {
  readonly deadline: NodeJS.Timeout;
  /** Where it asks for raw clicks. */
  readonly answered: AbortController | undefined;
}

export function followAskers(http: Http, clients: Clients, { timeoutMs, setting, isRaw }: AnswerLimits): void {
  const unanswered = new WeakMap<IncomingMessage, Unanswered>();

  // When the request is here whole: how long that may take is limited apart (http.ts).
  http.addHook('preValidation', (request, { raw: response }, done) => {
    const { raw, routeOptions } = request;
    const end = new AbortController();
    const answered = isRaw?.(request) ? new AbortController() : undefined;
    const tooLate = () =>
      end.abort(new Unserved('late', `no answer within ${timeoutMs} ms, which is the limit (${setting})`));
    const deadline = setTimeout(tooLate, timeoutMs);
    unanswered.set(raw, { deadline, answered });
    const gone = () => {
      clearTimeout(deadline);
      answered?.abort(isAnswered);
      end.abort(hasGone);
    };
    if (response.destroyed) gone();
    else response.once('close', gone);
    const isOperation = operationPaths.has(routeOptions.url ?? '');
    const asker = { signal: end.signal, client: clients.of(raw).network, isOperation };
    askedBy(answered ? { ...asker, ticket: answered.signal } : asker, done);
  });
  // Whatever it is, also where the handler has failed. How long its client takes to read it holds up nobody.
  http.addHook('onSend', ({ raw }, _reply, _payload, done) => {
    const { deadline, answered } = unanswered.get(raw) ?? {};
    clearTimeout(deadline);
    answered?.abort(isAnswered);
    done();
  });
}

/** The same for all: every request ends so, and to make an error for each costs more than the rest of this. */
const hasGone = new Unserved('gone', 'the client has gone');
const isAnswered = 'answered';
