/** Does what is asked of it one after the other, in the order in which it is asked, with a limit to how many wait. */
import { Problem } from '../../../infra/http.ts';

type InTurn = <T>(work: () => Promise<T>) => Promise<T>;

/** @throws Problem if too many wait */
export function inTurn(): InTurn {
  let waiting = 0;
  let last: Promise<unknown> = Promise.resolve();
  return async work => {
    if (waiting >= mostWaiting)
      throw new Problem(503, 'busy', `${mostWaiting} changes of keys are waiting already: try again`, {}, 1);
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
