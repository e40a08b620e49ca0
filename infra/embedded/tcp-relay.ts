/**
 * Protects the native port of the embedded ClickHouse from connections that are reset.
 *
 * The server is `clickhouse local` (clickhouse-program.ts), which ends itself as soon as such a connection is reset: by
 * a client that was killed, or by another node that reads from it and was told to cancel. A normal server only logs
 * that. So when a client goes, in whatever way, the relay tells the server that nothing more comes, and drops what the
 * server still sends until it closes.
 */
import { connect, createServer, type Socket } from 'node:net';
import { promisify } from 'node:util';

/** @throws when the port is taken */
export async function openTcpRelay(host: string, port: number, serverPort: number): Promise<AsyncDisposable> {
  const open = new Set<Socket>();
  const relay = createServer({ allowHalfOpen: true }, client => {
    const server = connect({ host, port: serverPort, allowHalfOpen: true });
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      open.add(socket);
      socket.on('close', () => open.delete(socket));
    }
    client.on('error', () => undefined);
    client.on('close', () => {
      server.unpipe(client);
      server.resume();
      server.end();
    });
    // The server is gone or not there, and the client must not wait.
    server.on('error', () => client.destroy());
    server.on('close', () => client.destroy());
    client.pipe(server);
    server.pipe(client);
  });
  await new Promise<void>((resolve, reject) => relay.once('error', reject).listen(port, host, resolve));
  return {
    async [Symbol.asyncDispose]() {
      const closed = promisify(relay.close.bind(relay))();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}
