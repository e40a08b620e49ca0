/**
 * Judges bodies so that none keeps the event loop to itself. Small ones are judged at once. Large ones take turns: one
 * at a time, in slices between which whoever else waits is served, so a small body never waits for a large one. What
 * waits for its turn is bounded.
 */
import { setImmediate } from 'node:timers/promises';
import { Problem } from '../infra/http.ts';
import { type ClickBatch, type ClickParser, createClickParser, type Slices } from './click-batch.ts';
import { oneAtATime } from './one-at-a-time.ts';
import { createBodyJoiner } from './request-body.ts';

export interface ClickJudgeOptions {
  readonly maxItems: number;
  /** Of all bodies that wait for their turn or have it. */
  readonly maxWaitingBytes: number;
  /** Resolves when everybody else has had a turn. */
  readonly othersTurn?: () => Promise<unknown>;
}

export interface ClickJudge {
  /**
   * `take` gets the batch, which holds only until it returns: what it keeps it must copy at once. Resolves to what it
   * has returned as soon as that is begun: nothing here holds the body while that is waited for.
   * @throws Problem 400, 413, 503
   */
  judge<T>(
    pieces: readonly Buffer[],
    format: keyof ClickParser,
    receivedAt: number,
    take: (batch: ClickBatch) => Promise<T>,
  ): Promise<{ readonly taken: Promise<T> }>;
}

/** A body of so few bytes is judged in some milliseconds, whatever it holds. */
export const smallBodyBytes = 16 << 10;

export function createClickJudge({
  maxItems,
  maxWaitingBytes,
  othersTurn = setImmediate,
}: ClickJudgeOptions): ClickJudge {
  // Each has its own memory: a small body is judged between two slices of a large one.
  const small = { parser: createClickParser(maxItems), join: createBodyJoiner() };
  const large = { parser: createClickParser(maxItems), join: createBodyJoiner() };
  const inTurn = oneAtATime();
  let waitingBytes = 0;

  return {
    async judge(pieces, format, receivedAt, take) {
      const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
      if (bytes <= smallBodyBytes) {
        const slices = small.parser[format](small.join(pieces), receivedAt);
        for (;;) {
          const { done, value } = slices.next();
          if (done) return { taken: take(value) };
        }
      }
      if (waitingBytes + bytes > maxWaitingBytes)
        throw new Problem(503, 'busy', 'too many request bodies are waiting to be judged', {}, 1);
      waitingBytes += bytes;
      return await inTurn(async () => {
        try {
          const slices = large.parser[format](large.join(pieces), receivedAt);
          return { taken: take(await finished(slices, othersTurn)) };
        } finally {
          waitingBytes -= bytes;
        }
      });
    },
  };
}

async function finished<T>(slices: Slices<T>, othersTurn: () => Promise<unknown>): Promise<T> {
  for (;;) {
    const slice = slices.next();
    if (slice.done) return slice.value;
    await othersTurn();
  }
}
