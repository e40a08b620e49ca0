/**
 * A TCP link that can be cut as a network is: nothing is refused and nothing is reset, what was sent just does not
 * arrive. When it is mended all arrives late, in order, also what its sender has long given up: a cut link hides no
 * delayed request from the other side.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';

export interface TcpLink extends AsyncDisposable {
  readonly port: number;
  readonly isCut: boolean;
  cut(): void;
  mend(): void;
}

const host = '127.0.0.1';

export async function openTcpLink(port: number, targetPort: number): Promise<TcpLink> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let isCut = false;
  /** Connections that came while it was cut. */
  const waiting = new Set<Socket>();
  const server = createServer({ pauseOnConnect: true, noDelay: true }, client => {
    client.on('error', () => undefined);
    if (!isCut) return join(client);
    waiting.add(client);
    client.once('close', () => waiting.delete(client));
  });
  const join = (client: Socket) => {
    const upstream = connect({ port: targetPort, host, noDelay: true });
    const pair = [client, upstream] as const;
    pairs.add(pair);
    forward(client, upstream, () => isCut);
    forward(upstream, client, () => isCut);
    for (const socket of pair) {
      // Whatever ends one side ends the other; an error is always followed by a close.
      socket.on('error', () => undefined);
      socket.on('close', () => {
        pairs.delete(pair);
        client.destroy();
        upstream.destroy();
      });
    }
    if (!isCut) client.resume();
  };
  await listen(server, port);
  return {
    port,
    get isCut() {
      return isCut;
    },
    cut() {
      isCut = true;
      for (const socket of [...pairs].flat()) socket.pause();
    },
    mend() {
      isCut = false;
      for (const client of waiting) join(client);
      waiting.clear();
      for (const socket of [...pairs].flat()) socket.resume();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of [...[...pairs].flat(), ...waiting]) socket.destroy();
      await new Promise<void>(resolve => server.close(() => resolve()));
    },
  };
}

/** No more is read than the other side takes. */
function forward(from: Socket, to: Socket, isCut: () => boolean): void {
  from.on('data', chunk => {
    if (!to.write(chunk)) from.pause();
  });
  to.on('drain', () => {
    if (!isCut()) from.resume();
  });
  if (isCut()) from.pause();
}

async function listen(server: Server, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
}
