/**
 * Ties what is done for a request to its client: once the connection has closed, or the time for an answer to begin is
 * over, nothing is done for it any more. What streams on after that (an export, events) lives until the connection closes.
 */
import type { IncomingMessage } from 'node:http';
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
}

export function followAskers(http: Http, clients: Clients, { timeoutMs, setting }: AnswerLimits): void {
  const deadlines = new WeakMap<IncomingMessage, NodeJS.Timeout>();

  // When the request is here whole: how long that may take is limited apart (http.ts).
  http.addHook('preValidation', ({ raw, routeOptions }, { raw: response }, done) => {
    const end = new AbortController();
    const tooLate = () =>
      end.abort(new Unserved('late', `no answer within ${timeoutMs} ms, which is the limit (${setting})`));
    const deadline = setTimeout(tooLate, timeoutMs);
    deadlines.set(raw, deadline);
    const gone = () => {
      clearTimeout(deadline);
      end.abort(new Unserved('gone', 'the client has gone'));
    };
    if (response.destroyed) gone();
    else response.once('close', gone);
    const isOperation = operationPaths.has(routeOptions.url ?? '');
    askedBy({ signal: end.signal, client: clients.of(raw).network, isOperation }, done);
  });
  http.addHook('onSend', ({ raw }, _reply, _payload, done) => {
    clearTimeout(deadlines.get(raw));
    done();
  });
}
