/**
 * The listeners of GET /v1/live. Each has a limited buffer. A listener that reads more slowly than events come is cut
 * off, so that it can neither fill the memory nor delay the others. It can come back with the id of the last event that
 * it received. A listener whose buffer has not been empty for `maxBehindMs` is cut off too: it reads nothing, or is no
 * longer there. The kernel has a buffer of its own for it, which would take many minutes to fill.
 *
 * The number of listeners is limited. When it is reached, a client that has fewer listeners than another client takes
 * the place of the oldest listener of that other client. So all clients end up with the same number, and those that came
 * first do not shut out the rest.
 */
import { Readable } from 'node:stream';

export interface Subscribers {
  readonly size: number;
  /**
   * Returns a stream of `first` and of everything that is sent from now on. It ends when the client goes, when it is cut
   * off, or when `close` is called. Returns undefined when the limit is reached and no listener has to make room for this
   * client.
   */
  add(client: string, first: readonly Buffer[]): Readable | undefined;
  send(bytes: Buffer): void;
  close(): void;
}

/** `room`: it made room for another listener. */
export type LeaveReason = 'gone' | 'slow' | 'room' | 'closed';

export interface SubscriberOptions {
  readonly maxClients: number;
  /** The bytes that may wait for one listener. */
  readonly maxBufferBytes: number;
  readonly maxBehindMs: number;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  /** The last message to a listener that makes room. */
  readonly farewell: Buffer;
  readonly onLeave: (why: LeaveReason) => void;
}

interface Subscriber {
  readonly client: string;
  readonly stream: Readable;
  /** The last known time at which its buffer was empty. */
  upToDateAt: number;
}

export function createSubscribers(options: SubscriberOptions): Subscribers {
  const { maxClients, maxBufferBytes, maxBehindMs, now, farewell, onLeave } = options;
  /** In the order in which they came. */
  const subscribers = new Set<Subscriber>();
  const counts = countsOfClients();

  const leave = (one: Subscriber, why: LeaveReason) => {
    if (!subscribers.delete(one)) return;
    counts.change(one.client, -1);
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
    // Without an error, because the headers were sent long ago: there is no way to report one.
    stream.destroy();
  };
  /** Ends the oldest listener of the client that has the most, if that is more than `client` will have. */
  const makeRoomFor = (client: string): boolean => {
    const most = counts.most();
    if (counts.of(client) + 1 >= most) return false;
    const [oldest] = [...subscribers].filter(each => counts.of(each.client) === most);
    if (oldest === undefined) return false;
    leave(oldest, 'room');
    endWith(farewell, oldest.stream);
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
      counts.change(client, 1);
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

/** How many listeners each client has. A client that has none is forgotten. */
function countsOfClients() {
  const counts = new Map<string, number>();
  return {
    of: (client: string) => counts.get(client) ?? 0,
    most: () => Math.max(0, ...counts.values()),
    change(client: string, by: 1 | -1) {
      const count = (counts.get(client) ?? 0) + by;
      if (count > 0) counts.set(client, count);
      else counts.delete(client);
    },
  };
}

/** A stream that still has bytes to read is cut off instead: it is behind, and would not end soon. */
function endWith(farewell: Buffer, stream: Readable): void {
  if (stream.readableLength > 0) {
    stream.destroy();
    return;
  }
  stream.push(farewell);
  stream.push(null);
}
