/**
 * One question at a time, asked again and again. `renew()`: the question is another one, so what is being asked is of no use
 * any more. `refresh()`: the same question again; an answer that is on its way is waited for, and never given up for another
 * one of the same question: or what is slower than a timer would never be answered. `isNews`: the answer on its way may be
 * older than what is known to have happened, so it is asked once more right after it.
 *
 * `load(signal)` answers. `on`: `start()`, `answer(content)`, `failure(error)`, `slow()` while it takes long, and `end()`.
 *
 * @template Content
 * @param {(signal: AbortSignal) => Promise<Content>} load
 * @param {{ start(): void, answer(content: Content): void, failure(error: unknown): void, slow(): void, end(): void }} on
 */
export function createAsking(load, on, slowAfterMs = 8_000) {
  /** @type {AbortController | undefined} */
  let running;
  let isWantedAgain = false;

  async function ask() {
    const own = new AbortController();
    running = own;
    on.start();
    const slow = setTimeout(() => on.slow(), slowAfterMs);
    try {
      const content = await load(own.signal);
      if (!own.signal.aborted) on.answer(content);
    } catch (error) {
      if (!own.signal.aborted) on.failure(error);
    } finally {
      clearTimeout(slow);
      if (running === own) {
        running = undefined;
        on.end();
        if (isWantedAgain) {
          isWantedAgain = false;
          ask();
        }
      }
    }
  }
  function giveUp() {
    running?.abort();
    running = undefined;
    isWantedAgain = false;
  }
  return {
    renew() {
      giveUp();
      ask();
    },
    refresh({ isNews = false } = {}) {
      if (running) isWantedAgain ||= isNews;
      else ask();
    },
    giveUp,
  };
}
