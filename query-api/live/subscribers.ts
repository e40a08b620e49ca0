/**
 * Who listens. Each has a bounded buffer: one that reads slower than events come is cut off, so that it can neither
 * hold memory nor hold up the others. It comes back with the id of the last event it had.
 */
import { Readable } from 'node:stream';

export interface Subscribers {
  readonly size: number;
  /** A stream of what is sent from now on, after `first`. It ends when the client goes, is cut off, or `close` is called. */
  add(first: readonly Buffer[]): Readable;
  send(bytes: Buffer): void;
  close(): void;
}

export interface SubscriberOptions {
  /** Bytes that may wait for one client. */
  readonly maxBufferBytes: number;
  readonly onLeave: (why: 'gone' | 'slow' | 'closed') => void;
}

export function createSubscribers({ maxBufferBytes, onLeave }: SubscriberOptions): Subscribers {
  const streams = new Set<Readable>();
  const leave = (stream: Readable, why: 'gone' | 'slow' | 'closed') => {
    if (streams.delete(stream)) onLeave(why);
  };
  const push = (stream: Readable, bytes: Buffer) => {
    if (stream.readableLength + bytes.length <= maxBufferBytes) {
      stream.push(bytes);
      return;
    }
    leave(stream, 'slow');
    // Without an error: nobody could be told, the headers have long been sent.
    stream.destroy();
  };
  return {
    get size() {
      return streams.size;
    },
    add(first) {
      const stream = new Readable({ read: () => undefined, highWaterMark: maxBufferBytes });
      stream.once('close', () => leave(stream, 'gone'));
      streams.add(stream);
      for (const bytes of first) push(stream, bytes);
      return stream;
    },
    send(bytes) {
      for (const stream of [...streams]) push(stream, bytes);
    },
    close() {
      for (const stream of [...streams]) {
        leave(stream, 'closed');
        stream.push(null);
      }
    },
  };
}
