/**
 * Gives each request for raw clicks one place among the raw reads, which it holds until its answer is complete.
 *
 * Such a request reads more than raw clicks: how far counting is, late clicks, restatements. If those used the places
 * of counts, as they once did, a client that asks for raw clicks and goes away, again and again, would keep others from
 * reading counts without ever having a place among raw reads. So the first statement of a request waits in the queue.
 * The others run under the same place and use none of the counts.
 *
 * The place becomes free when the answer is complete or given up, and every statement is over in the server, whichever
 * is later. Under one place only one raw read runs at a time, so there are never more of them in the server than
 * places. Of the other reads, a few may run at a time.
 */
import type { Asker } from '../asking.ts';
import { createPlaces, type Places } from '../places.ts';

export interface Tickets {
  /**
   * Takes a place for one statement. The caller gives it back, once, when the statement is over in the server. @throws
   * the same as `Places`
   */
  take(ticket: AbortSignal, asker: Asker, isRaw: boolean): Promise<() => void>;
}

/** The number of statements that may run under one place at the same time. One of them may be raw. */
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
    const sinceMs = performance.now();
    giveBack = () => {
      back();
      first.onPlaceHeld?.((performance.now() - sinceMs) / 1_000);
    };
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

/** The queue of one request's statements. They wait for as long as the request, which has a limit of its own. */
function lineOf(places: number): Places {
  const limits = { places, perClient: places, mostWaiting: 64, mostWaitingPerClient: 64, waitMs: 0 };
  const unheard = () => undefined;
  return createPlaces('reads of one request', limits, {
    onRunning: unheard,
    onWaiting: unheard,
    onRefused: unheard,
  });
}
