/**
 * Keeps an answer for a while, and lets all who ask meanwhile share one request, so that frequent requests do not
 * overload the system behind it. The request continues while one of them waits, whoever else has gone.
 *
 * `clock` is monotonic: by a wall clock that is put back, an old answer would be given for so much longer.
 */
import { type Shared, shared } from './asking.ts';

export function cached<T>(ask: () => Promise<T>, keepMs: number, clock = () => performance.now()): () => Promise<T> {
  let answer: { readonly value: Shared<T>; until: number } | undefined;
  return () => {
    if (answer && clock() < answer.until && !answer.value.isGivenUp) return answer.value.join();
    const fresh = { value: shared(ask), until: Number.POSITIVE_INFINITY };
    answer = fresh;
    const startToKeep = () => {
      fresh.until = clock() + keepMs;
    };
    const joined = fresh.value.join();
    fresh.value.ended.then(startToKeep);
    return joined;
  };
}
