/**
 * Who listens to GET /v1/live, and who is cut off. Each has a bounded buffer: one that reads slower than events come is
 * cut off, so that it can neither hold memory nor hold up the others. It comes back with the id of the last event it
 * had. So is one whose buffer has not been empty for `maxBehindMs`: it takes nothing, or is not there any more, and
 * what the kernel holds for it besides would take many minutes to fill.
 *
 * There may be so many. Where they are there, one more of a client that has fewer than another takes the place of that
 * other's oldest, so that clients come to have as many each, and nobody is shut out by those that came first.
 */
import { Readable } from 'node:stream';

export interface Subscribers {
  readonly size: number;
  /**
   * A stream of what is sent from now on, after `first`. It ends when the client goes, is cut off, or `close` is called.
   * Undefined: as many listen as may, and nobody has to make room for this client.
   */
  add(client: string, first: readonly Buffer[]): Readable | undefined;
  send(bytes: Buffer): void;
  close(): void;
}

/** `room`: it made room for another. */
export type LeaveReason = 'gone' | 'slow' | 'room' | 'closed';

export interface SubscriberOptions {
  readonly maxClients: number;
  /** Bytes that may wait for one client. */
  readonly maxBufferBytes: number;
  readonly maxBehindMs: number;
  /** ms of a clock that only goes on. */
  readonly now: () => number;
  /** Told to one that makes room, as its last. */
  readonly farewell: Buffer;
  readonly onLeave: (why: LeaveReason) => void;
}

interface Subscriber {
  readonly client: string;
  readonly stream: Readable;
  /** When all that was sent had been taken, as far as is known. */
  upToDateAt: number;
}

export function createSubscribers(options: SubscriberOptions): Subscribers {
  const { maxClients, maxBufferBytes, maxBehindMs, now, farewell, onLeave } = options;
  /** The oldest first. */
  const subscribers = new Set<Subscriber>();
  const countOf = new Map<string, number>();

  const leave = (one: Subscriber, why: LeaveReason) => {
    if (!subscribers.delete(one)) return;
    const left = (countOf.get(one.client) ?? 1) - 1;
    if (left > 0) countOf.set(one.client, left);
    else countOf.delete(one.client);
    onLeave(why);
  };
  const push = (one: Subscriber, bytes: Buffer) => {
    const { stream } = one;
    if (stream.readableLength === 0) one.upToDateAt = now();
    const isBehind = now() - one.upToDateAt > maxBehindMs;
    if (!isBehind && stream.readableLength + bytes.length <= maxBufferBytes) {
      stream.push(bytes);
      return;
    }
    leave(one, 'slow');
    // Without an error: nobody could be told, the headers have long been sent.
    stream.destroy();
  };
  /** One of the client that has the most, if that is more than `client` will have. */
  const makeRoomFor = (client: string): boolean => {
    const most = Math.max(0, ...countOf.values());
    if ((countOf.get(client) ?? 0) + 1 >= most) return false;
    const [oldest] = [...subscribers].filter(each => countOf.get(each.client) === most);
    if (oldest === undefined) return false;
    leave(oldest, 'room');
    if (oldest.stream.readableLength === 0) {
      oldest.stream.push(farewell);
      oldest.stream.push(null);
    } else {
      oldest.stream.destroy();
    }
    return true;
  };

  return {
    get size() {
      return subscribers.size;
    },
    add(client, first) {
      if (subscribers.size >= maxClients && !makeRoomFor(client)) return undefined;
      const stream = new Readable({ read: () => undefined, highWaterMark: maxBufferBytes });
      const one = { client, stream, upToDateAt: now() };
      stream.once('close', () => leave(one, 'gone'));
      subscribers.add(one);
      countOf.set(client, (countOf.get(client) ?? 0) + 1);
      for (const bytes of first) push(one, bytes);
      return stream;
    },
    send(bytes) {
      for (const one of [...subscribers]) push(one, bytes);
    },
    close() {
      for (const one of [...subscribers]) {
        leave(one, 'closed');
        one.stream.push(null);
      }
    },
  };
}
