/**
 * Does what is asked of it one after the other, or a few at a time, with a limit to how many wait, to how many of these
 * one client has, and to how long: a connection on which nothing comes is ended after a minute, and its client would know
 * nothing. What is checked and then written is done so: of requests side by side each would be checked without the others.
 */
import { currentAsker } from '../../infra/asking.ts';
import { Unserved } from '../../infra/errors.ts';
import { createPlaces } from '../../infra/places.ts';
import { Problem } from '../../infra/problem.ts';

type InTurn = <T>(work: () => Promise<T>) => Promise<T>;

/**
 * `what` are those that wait, such as "changes of keys". Clients take turns, and what one of them asks is done in the order
 * in which it came. @throws Problem if too many wait, or it has waited too long, and Unserved if its client has gone;
 * nothing is done then
 */
export function inTurn(what: string, { atOnce = 1, ofOneClient = 1 } = {}): InTurn {
  const waiting = { mostWaiting, mostWaitingPerClient, waitMs: longestWaitMs };
  const places = createPlaces(what, { places: atOnce, perClient: ofOneClient, ...waiting }, uncounted);
  return async work => {
    const end = await places.take(currentAsker()).catch(error => Promise.reject(asProblem(error)));
    try {
      return await work();
    } finally {
      end();
    }
  };
}

function asProblem(error: unknown): unknown {
  if (!(error instanceof Unserved)) return error;
  const detail = `${error.message}: try again`;
  if (error.why === 'share') return new Problem(429, 'client_busy', detail, {}, 1);
  return error.why === 'full' || error.why === 'waited' ? new Problem(503, 'busy', detail, {}, 1) : error;
}

const mostWaiting = 32;
const mostWaitingPerClient = 16;
/** Less than a minute by what one of them may take. */
const longestWaitMs = 20_000;
const uncounted = { onRunning() {}, onWaiting() {}, onRefused() {} };
