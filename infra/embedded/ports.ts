/** Examines TCP ports of this machine: whether one is free, which one is free, and whether somebody answers. */
import { connect, createServer } from 'node:net';
import { ConfigError, messageOf } from '../errors.ts';

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
 * Returns a port on which nobody listens at this moment. Nothing keeps it free, so the caller must handle losing it, as
 * `withFreePort` does.
 */
export function freePort(host = '127.0.0.1'): Promise<number> {
  return listenOnce(host, 0);
}

/**
 * Starts a server that needs a port of any number besides its own. The free port that it is given may be taken by somebody
 * else before the server listens on it. Then the start is made again with another one, at most twice.
 */
export async function withFreePort<T>(start: (port: number) => Promise<T>): Promise<T> {
  for (let left = 2; ; left--) {
    try {
      return await start(await freePort());
    } catch (error) {
      if (left === 0 || !/address already in use/i.test(messageOf(error))) throw error;
    }
  }
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
