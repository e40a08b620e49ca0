/**
 * A TCP proxy that can cut a connection when the server has done its work and before the client hears of it: the reply,
 * or its second half, is thrown away and both sides are closed. For Kafka it knows which request a reply belongs to.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';

export interface ReplyCutter extends AsyncDisposable {
  readonly port: number;
  /** The next reply of this kind is cut: for HTTP any, for Kafka the request's api key. */
  arm(apiKey?: number): void;
  /** How many replies of each kind were cut. */
  readonly cuts: ReadonlyMap<number, number>;
}

type Protocol = 'http' | 'kafka';

const host = '127.0.0.1';
/** Stands for every HTTP reply. */
export const httpReply = -1;

export async function openReplyCutter(protocol: Protocol, port: number, targetPort: number): Promise<ReplyCutter> {
  const cuts = new Map<number, number>();
  const armed = new Set<number>();
  const open = new Set<Socket>();
  const isCut = (kind: number) => {
    if (!armed.delete(kind)) return false;
    cuts.set(kind, (cuts.get(kind) ?? 0) + 1);
    return true;
  };
  const server = createServer(client => {
    const upstream = connect(targetPort, host);
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.setNoDelay(true);
      // Whatever ends one side ends the other; an error is always followed by a close.
      socket.on('error', () => undefined);
      socket.on('close', () => {
        open.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    const requests = new FrameReader();
    const replies = new FrameReader();
    const kinds = new Map<number, number>();
    client.on('data', chunk => {
      if (protocol === 'kafka') {
        // Length, api key (2), version (2), correlation id (4).
        for (const head of requests.read(chunk)) kinds.set(head.readInt32BE(8), head.readInt16BE(4));
      }
      upstream.write(chunk);
    });
    upstream.on('data', chunk => {
      const kindsHere = protocol === 'http' ? [httpReply] : replies.read(chunk).map(head => take(kinds, head));
      const cut = kindsHere.find(kind => kind !== undefined && isCut(kind));
      if (cut === undefined) return void client.write(chunk);
      if (cuts.get(cut)! % 2 === 0) client.write(chunk.subarray(0, chunk.length >> 1));
      client.destroy();
      upstream.destroy();
    });
  });
  await listen(server, port);
  return {
    port,
    cuts,
    arm: (apiKey = httpReply) => armed.add(apiKey),
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      await new Promise<void>(resolve => server.close(() => resolve()));
    },
  };
}

function take(kinds: Map<number, number>, head: Buffer): number | undefined {
  const correlation = head.readInt32BE(4);
  const kind = kinds.get(correlation);
  kinds.delete(correlation);
  return kind;
}

/** Finds the beginnings of length-prefixed frames in a stream cut anywhere. */
class FrameReader {
  readonly #head = Buffer.alloc(12);
  #have = 0;
  #skip = 0;

  /** The first 12 bytes, length included, of each frame of which they are there now. */
  read(chunk: Buffer): Buffer[] {
    const heads: Buffer[] = [];
    for (let at = 0; at < chunk.length; ) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, chunk.length - at);
        this.#skip -= skipped;
        at += skipped;
        continue;
      }
      this.#head[this.#have++] = chunk[at++]!;
      const length = this.#have >= 4 ? 4 + this.#head.readInt32BE(0) : 12;
      if (this.#have < Math.min(12, length)) continue;
      heads.push(Buffer.from(this.#head));
      this.#skip = length - this.#have;
      this.#have = 0;
    }
    return heads;
  }
}

async function listen(server: Server, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
}
