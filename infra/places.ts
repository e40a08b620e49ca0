/**
 * Limits how many run at a time. Others wait in a queue.
 *
 * The queue is limited, in total and for each client, and nobody waits in it for longer than `waitMs`: an early answer
 * "later" is worth more than one that comes when nobody waits for it.
 *
 * Clients take turns, however many waiting requests one of them has. The requests of one client are served in order.
 * One client may have only a part of the places, so that its requests, however long they take, leave some for others.
 */
import type { Asker } from './asking.ts';
import { Unserved } from './errors.ts';

export interface PlaceLimits {
  readonly places: number;
  /** How many of these one client may have. */
  readonly perClient: number;
  readonly mostWaiting: number;
  /** How many of these one client may have. */
  readonly mostWaitingPerClient: number;
  /** For requests. The process itself waits for as long as it takes. */
  readonly waitMs: number;
}

export interface PlaceEvents {
  /** A place is taken (1) or free again (-1). */
  onRunning(change: 1 | -1): void;
  onWaiting(change: 1 | -1): void;
  onRefused(why: Unserved['why']): void;
}

export interface Places {
  /**
   * Resolves when there is a place. The caller gives it back, once. @throws Unserved when the queue is full, or when
   * its turn has not come in time; the reason of `asker.signal` when the asker has gone
   */
  take(asker: Asker | undefined): Promise<() => void>;
}

interface Waiting {
  readonly give: () => void;
}

/**
 * `what` is named in errors, for example `reads of counts`.
 *
 * Long because its functions share one state, in which the free places, the running reads and the queues must agree.
 */
export function createPlaces(what: string, limits: PlaceLimits, events: PlaceEvents): Places {
  const { places, perClient, mostWaiting, mostWaitingPerClient, waitMs } = limits;
  /** By client, in the order of their turns. */
  const lines = new Map<string, Set<Waiting>>();
  const running = new Map<string, number>();
  let free = places;
  let waiting = 0;

  const hasPlaceFor = (client: string) => free > 0 && (running.get(client) ?? 0) < perClient;
  const begin = (client: string) => {
    free--;
    running.set(client, (running.get(client) ?? 0) + 1);
    events.onRunning(1);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      free++;
      const left = (running.get(client) ?? 1) - 1;
      if (left > 0) running.set(client, left);
      else running.delete(client);
      events.onRunning(-1);
      giveNext();
    };
  };
  const giveNext = () => {
    for (const [client, line] of lines) {
      if (!hasPlaceFor(client)) continue;
      const [first] = line;
      // The client moves behind the others for its next turn.
      lines.delete(client);
      lines.set(client, line);
      first?.give();
      return;
    }
  };
  const refuse = (why: Unserved['why'], message: string): Unserved => {
    events.onRefused(why);
    return new Unserved(why, message);
  };

  const wait = (client: string, asker: Asker | undefined): Promise<() => void> => {
    const line = lines.get(client) ?? new Set<Waiting>();
    const isRequest = asker !== undefined && !asker.isProcess;
    if (waiting >= mostWaiting) throw refuse('full', `${mostWaiting} ${what} are waiting, which is the limit`);
    if (isRequest && line.size >= mostWaitingPerClient)
      throw refuse('share', `${mostWaitingPerClient} ${what} of ${client} are waiting, which is the limit of a client`);
    lines.set(client, line);
    const { promise, resolve, reject } = Promise.withResolvers<() => void>();
    const leave = () => {
      clearTimeout(timer);
      asker?.signal.removeEventListener('abort', gone);
      line.delete(one);
      if (line.size === 0) lines.delete(client);
      waiting--;
      events.onWaiting(-1);
    };
    const one: Waiting = {
      give() {
        leave();
        resolve(begin(client));
      },
    };
    const gone = () => {
      leave();
      reject(asker?.signal.reason);
    };
    const tooLong = () => {
      leave();
      reject(refuse('waited', `no turn among the ${what} within ${waitMs} ms`));
    };
    const timer = isRequest ? setTimeout(tooLong, waitMs) : undefined;
    asker?.signal.addEventListener('abort', gone, { once: true });
    line.add(one);
    waiting++;
    events.onWaiting(1);
    return promise;
  };

  return {
    async take(asker) {
      asker?.signal.throwIfAborted();
      const client = asker?.client ?? '';
      return hasPlaceFor(client) ? begin(client) : await wait(client, asker);
    },
  };
}
