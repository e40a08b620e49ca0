/** At most so many at a time; others wait in line, and the line has an end. First come, first served. */
import { Retryable } from '../errors.ts';

export interface Places {
  /** @throws Retryable at once where too many wait already; otherwise what `work` throws */
  run<T>(work: () => Promise<T>): Promise<T>;
}

/** `what` waits, for errors. */
export function createPlaces(what: string, places: number, mostWaiting: number): Places {
  const waiting: (() => void)[] = [];
  let free = places;

  const take = async () => {
    if (free > 0) {
      free--;
      return;
    }
    if (waiting.length >= mostWaiting) throw new Retryable(`${what}: ${mostWaiting} are waiting already`);
    await new Promise<void>(resolve => waiting.push(resolve));
  };
  // The place goes to who has waited longest, or nobody comes in between.
  const giveBack = () => {
    const next = waiting.shift();
    if (next) next();
    else free++;
  };

  return {
    async run(work) {
      await take();
      try {
        return await work();
      } finally {
        giveBack();
      }
    },
  };
}
