/** Examines TCP ports of this machine: whether one is free, which one is free, and whether somebody answers. */
import { connect, createServer } from 'node:net';
import { ConfigError } from '../errors.ts';

/** @throws ConfigError naming the port and the variable that chooses it */
export async function requireFreePort(host: string, port: number, variable: string): Promise<void> {
  const code = await listenOnce(host, port).then(
    () => undefined,
    (error: NodeJS.ErrnoException) => error.code ?? error.message,
  );
  if (code === undefined) return;
  if (code === 'EADDRINUSE') {
    throw new ConfigError(`port ${port} on ${host} is taken: stop what listens there, or choose another ${variable}`);
  }
  throw new ConfigError(`port ${port} on ${host} cannot be opened (${code}): choose another ${variable}`);
}

/**
 * Returns a port on which nobody listens at this moment. Nothing keeps it free, so the caller must handle losing it.
 */
export function freePort(host = '127.0.0.1'): Promise<number> {
  return listenOnce(host, 0);
}

/** Returns whether something accepts connections there. */
export function answers(host: string, port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ host, port });
    const settle = (open: boolean) => {
      socket.destroy();
      resolve(open);
    };
    socket.setTimeout(1_000, () => settle(false));
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
  });
}

function listenOnce(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address();
      const chosen = address !== null && typeof address === 'object' ? address.port : port;
      server.close(() => resolve(chosen));
    });
  });
}
