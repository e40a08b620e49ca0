/**
 * Asks one question at a time, again and again.
 *
 * - `renew()` says that the question has changed: a running request is given up, because its answer is of no use any more.
 * - `refresh()` asks the same question again. A running request for the same question is never given up; otherwise a
 *   question whose answer takes longer than the timer would never be answered.
 * - `refresh({ isNews: true })` says that something has happened which the running request may not know of. The question is
 *   asked once more when that request has ended.
 * - `refresh({ isWished: true })` is the wish of the viewer. Everything else waits for as long as the server wants to be left
 *   alone: a failure with `retryAfterMs` says so.
 *
 * `load(signal)` makes the request. `on` is called with each step: `start()`, `answer(content)` or `failure(error)`, `slow()`
 * if the answer takes long, and `end()`.
 *
 * @template Content
 * @param {(signal: AbortSignal) => Promise<Content>} load
 * @param {{ start(): void, answer(content: Content): void, failure(error: unknown): void, slow(): void, end(): void }} on
 */
export function createAsking(load, on, slowAfterMs = 8_000) {
  /** @type {AbortController | undefined} */
  let running;
  let isWantedAgain = false;
  /** By the steady clock. */
  let notBefore = 0;

  async function ask() {
    const own = new AbortController();
    running = own;
    on.start();
    const slow = setTimeout(() => on.slow(), slowAfterMs);
    try {
      const content = await load(own.signal);
      if (!own.signal.aborted) on.answer(content);
    } catch (error) {
      if (own.signal.aborted) return;
      notBefore = performance.now() + pauseMsOf(error);
      on.failure(error);
    } finally {
      clearTimeout(slow);
      if (running === own) {
        running = undefined;
        on.end();
        const isNext = isWantedAgain && performance.now() >= notBefore;
        isWantedAgain = false;
        if (isNext) ask();
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
      notBefore = 0;
      ask();
    },
    refresh({ isNews = false, isWished = false } = {}) {
      if (running) isWantedAgain ||= isNews;
      else if (isWished || performance.now() >= notBefore) ask();
    },
    giveUp,
  };
}

/** Nobody waits longer than this, whatever a server says. */
const longestPauseMs = 300_000;

/** @param {unknown} error */
function pauseMsOf(error) {
  const asked = error instanceof Error && 'retryAfterMs' in error ? Number(error.retryAfterMs ?? 0) : 0;
  return Math.min(asked, longestPauseMs);
}
