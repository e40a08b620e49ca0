/**
 * Does what is asked of it one after the other, in the order in which it is asked, with a limit to how many wait. What is
 * checked and then written is done so: of requests side by side each would be checked without the others.
 */
import { Problem } from '../../infra/problem.ts';

type InTurn = <T>(work: () => Promise<T>) => Promise<T>;

/** `what` are those that wait, such as "changes of keys". @throws Problem if too many wait */
export function inTurn(what: string): InTurn {
  let waiting = 0;
  let last: Promise<unknown> = Promise.resolve();
  return async work => {
    if (waiting >= mostWaiting)
      throw new Problem(503, 'busy', `${mostWaiting} ${what} are waiting already: try again`, {}, 1);
    waiting++;
    const mine = last.then(work);
    last = mine.catch(() => undefined);
    try {
      return await mine;
    } finally {
      waiting--;
    }
  };
}

const mostWaiting = 32;
