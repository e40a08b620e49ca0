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
  /** The time until an answer must have begun. */
  readonly timeoutMs: number;
  /** The environment variable that sets it. */
  readonly setting: string;
  /** Whether a request asks for raw clicks, as far as its address shows. */
  readonly isRaw?: (request: FastifyRequest) => boolean;
  /** Is told for how long a request for raw clicks had a place in the database. */
  readonly onPlaceHeld?: (request: FastifyRequest, seconds: number) => void;
}

/** A request whose answer has not begun. */
interface Unanswered {
  readonly deadline: NodeJS.Timeout;
  /** Present when the request asks for raw clicks. */
  readonly answered: AbortController | undefined;
}

export function followAskers(
  http: Http,
  clients: Clients,
  { timeoutMs, setting, isRaw, onPlaceHeld }: AnswerLimits,
): void {
  const unanswered = new WeakMap<IncomingMessage, Unanswered>();

  // Runs when the request has arrived completely. Another limit applies to the time before that (http.ts).
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
    let longestS = 0;
    // Of several nodes that are read at the same time, the one that takes the longest counts.
    const told = (seconds: number) => {
      if (seconds > longestS) onPlaceHeld?.(request, seconds - longestS);
      longestS = Math.max(longestS, seconds);
    };
    askedBy(answered ? { ...asker, ticket: answered.signal, onPlaceHeld: told } : asker, done);
  });
  // Runs for every answer, also when the handler has failed. The time that the client takes to read it delays nobody.
  http.addHook('onSend', ({ raw }, _reply, _payload, done) => {
    const { deadline, answered } = unanswered.get(raw) ?? {};
    clearTimeout(deadline);
    answered?.abort(isAnswered);
    done();
  });
}

/**
 * One error for all, because every request ends with it, and creating an error for each costs more than everything else
 * here.
 */
const hasGone = new Unserved('gone', 'the client has gone');
const isAnswered = 'answered';
