/**
 * One place among raw reads for each request that asks for raw clicks, held until its answer is made.
 *
 * Such a request reads more than raw clicks: how far counting is, late clicks, restatements. Were those read in the places
 * of counts, as they once were, who asks for raw clicks again and again, and goes, would keep everybody else from counts
 * without ever having a place among raw reads. So the first of a request's statements stands in line; the others are read
 * under the same place, and have none of counts.
 *
 * The place is free when the answer is made, or will not be, and every statement is over in the server, whichever is later.
 * Under it, one raw read at a time: there are never more of them in the server than places. Of the others, a few.
 */
import type { Asker } from '../asking.ts';
import { createPlaces, type Places } from './places.ts';

export interface Tickets {
  /** For one statement; who has it gives it back, once, when that is over in the server. @throws as `Places` does */
  take(ticket: AbortSignal, asker: Asker, isRaw: boolean): Promise<() => void>;
}

/** Statements under one place at the same time, of which one may be raw. */
export const mostOfTicket = 4;

export function createTickets(places: Places): Tickets {
  const held = new WeakMap<AbortSignal, Held>();
  return {
    async take(ticket, asker, isRaw) {
      const known = held.get(ticket) ?? hold(places, ticket, asker);
      held.set(ticket, known);
      return await known.begin(asker, isRaw);
    },
  };
}

interface Held {
  begin(asker: Asker, isRaw: boolean): Promise<() => void>;
}

function hold(places: Places, ticket: AbortSignal, first: Asker): Held {
  const lines = { raw: lineOf(1), others: lineOf(mostOfTicket - 1) };
  let statements = 0;
  let giveBack: (() => void) | undefined;
  const leave = () => {
    if (ticket.aborted && statements === 0) giveBack?.();
  };
  ticket.addEventListener('abort', leave, { once: true });
  const placed = places.take(first).then(back => {
    giveBack = back;
  });
  return {
    async begin(asker, isRaw) {
      statements++;
      const end = () => {
        statements--;
        leave();
      };
      try {
        await placed;
        const giveUp = await lines[isRaw ? 'raw' : 'others'].take({ ...asker, isProcess: true });
        return () => {
          giveUp();
          end();
        };
      } catch (error) {
        end();
        throw error;
      }
    },
  };
}

/** Of one request's statements. They wait as long as it does, which has a limit of its own. */
function lineOf(places: number): Places {
  const limits = { places, perClient: places, mostWaiting: 64, mostWaitingPerClient: 64, waitMs: 0 };
  const unheard = () => undefined;
  return createPlaces('reads of one request', limits, {
    onRunning: unheard,
    onWaiting: unheard,
    onRefused: unheard,
  });
}
