/**
 * Schedules the checking of bodies so that none of them blocks the event loop.
 *
 * Small bodies are checked at once. Large ones are checked one at a time, with the clients in turn, and in slices
 * between which others are served. So a small body never waits for a large one, and a large one does not wait for all
 * the bodies of another client. The bodies that wait are limited in total and per client.
 */
import { setImmediate } from 'node:timers/promises';
import { Problem } from '../infra/http.ts';
import type { Client } from '../infra/http-clients.ts';
import { atOnce, givingWay } from '../infra/slices.ts';
import { clientBusy } from './body-budget.ts';
import { type ClickBatch, type ClickParser, createClickParser, type Posting } from './click-batch.ts';
import { fairTurns } from './fair-turns.ts';
import type { KeptFields } from './kept-click.ts';
import { createBodyJoiner } from './request-body.ts';

export interface ClickJudgeOptions {
  readonly maxItems: number;
  /** For all bodies that wait for their turn or have it. */
  readonly maxWaitingBytes: number;
  /** For everything that one client holds, including the bodies that are being received. */
  readonly clientBudgetBytes: number;
  /** What is kept of fields that say who a person is. */
  readonly kept?: KeptFields;
  /** Resolves when everybody else has had a turn. */
  readonly othersTurn?: () => Promise<unknown>;
}

export interface ClickJudge {
  /**
   * `take` gets the batch, which is valid only until it returns, so it must copy at once what it keeps. Resolves to its
   * result as soon as that work has begun: nothing here keeps the body while the caller waits for that. @throws Problem
   * 400, 413, 429, 503
   */
  judge<T>(
    client: Client,
    pieces: readonly Buffer[],
    format: keyof ClickParser,
    posting: Posting,
    take: (batch: ClickBatch) => Promise<T>,
  ): Promise<{ readonly taken: Promise<T> }>;
}

/** A body of at most this many bytes is checked in a few milliseconds, whatever it contains. */
export const smallBodyBytes = 16 << 10;

export function createClickJudge({
  maxItems,
  maxWaitingBytes,
  clientBudgetBytes,
  kept = {},
  othersTurn = setImmediate,
}: ClickJudgeOptions): ClickJudge {
  // Each has its own memory, because a small body is checked between two slices of a large one.
  const small = { parser: createClickParser(maxItems, kept), join: createBodyJoiner() };
  const large = { parser: createClickParser(maxItems, kept), join: createBodyJoiner() };
  const inTurn = fairTurns();
  let waitingBytes = 0;

  return {
    async judge(client, pieces, format, posting, take) {
      const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
      if (bytes <= smallBodyBytes) {
        return { taken: take(atOnce(small.parser[format](small.join(pieces), posting))) };
      }
      if (client.heldBytes + bytes > clientBudgetBytes) throw clientBusy(client, clientBudgetBytes);
      if (waitingBytes + bytes > maxWaitingBytes)
        throw new Problem(503, 'busy', 'too many request bodies are waiting to be checked', {}, 1);
      waitingBytes += bytes;
      client.heldBytes += bytes;
      return await inTurn(client, async () => {
        try {
          const slices = large.parser[format](large.join(pieces), posting);
          return { taken: take(await givingWay(slices, othersTurn)) };
        } finally {
          waitingBytes -= bytes;
          client.heldBytes -= bytes;
        }
      });
    },
  };
}
