/** HTTP by the byte, from an address of one's choice: for what no client library would send. */
import { connect, type Socket } from 'node:net';

export interface RawConnection extends Disposable {
  readonly socket: Socket;
  send(text: string | Buffer): void;
  /** All that has come so far. */
  readonly received: string;
  /** The status of the first answer, as soon as it is there; undefined: the connection ended without. */
  status(): Promise<number | undefined>;
  /** Its body, as soon as it is there whole. */
  problem(): Promise<Record<string, unknown>>;
  ended(): Promise<void>;
}

/** Any address of 127.0.0.0/8 is this machine's, on Linux. */
export function rawConnection(url: string, from = '127.0.0.1'): RawConnection {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), localAddress: from, noDelay: true });
  let received = '';
  const { promise: end, resolve: hasEnded } = Promise.withResolvers<void>();
  let onData: () => void = () => undefined;
  socket.setEncoding('latin1').on('data', (text: string) => {
    received += text;
    onData();
  });
  socket.on('error', () => undefined);
  socket.on('close', () => {
    hasEnded();
    onData();
  });
  const until = async (isThere: () => boolean) => {
    while (!isThere() && !socket.destroyed) {
      await new Promise<void>(resolve => {
        onData = resolve;
      });
    }
  };
  const headEnd = () => received.indexOf('\r\n\r\n');
  const bodyLength = () => Number(/\r\ncontent-length: (\d+)/i.exec(received)?.[1]);
  return {
    socket,
    get received() {
      return received;
    },
    send: text => void socket.write(text),
    async status() {
      await until(() => headEnd() !== -1);
      const status = /^HTTP\/1.1 (\d+)/.exec(received)?.[1];
      return status === undefined ? undefined : Number(status);
    },
    async problem() {
      await until(() => headEnd() !== -1 && received.length >= headEnd() + 4 + bodyLength());
      return JSON.parse(received.slice(headEnd() + 4));
    },
    ended: () => end,
    [Symbol.dispose]: () => void socket.destroy(),
  };
}

export function postHead(length: number, type = 'application/x-ndjson', more = ''): string {
  return `POST /v1/clicks HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${type}\r\ncontent-length: ${length}\r\n${more}\r\n`;
}
