/**
 * Does what is asked of it one after the other, in the order in which it is asked, with a limit to how many wait, and to
 * how long: a connection on which nothing comes is ended after a minute, and its client would know nothing. What is checked
 * and then written is done so: of requests side by side each would be checked without the others.
 */
import { Problem } from '../../infra/problem.ts';

type InTurn = <T>(work: () => Promise<T>) => Promise<T>;

/**
 * `what` are those that wait, such as "changes of keys". `clock` returns milliseconds and does not go back. @throws Problem
 * if too many wait, or it has waited too long; nothing is done then
 */
export function inTurn(what: string, clock = () => performance.now()): InTurn {
  let waiting = 0;
  let last: Promise<unknown> = Promise.resolve();
  return async work => {
    if (waiting >= mostWaiting) throw busy(`${mostWaiting} ${what} are waiting already`);
    waiting++;
    const askedAt = clock();
    const mine = last.then(() => {
      if (clock() - askedAt > longestWaitMs) throw busy(`other ${what} took ${longestWaitMs / 1_000} s`);
      return work();
    });
    last = mine.catch(() => undefined);
    try {
      return await mine;
    } finally {
      waiting--;
    }
  };
}

function busy(why: string): Problem {
  return new Problem(503, 'busy', `${why}: try again`, {}, 1);
}

const mostWaiting = 32;
/** Less than a minute by what one of them may take. */
const longestWaitMs = 20_000;
