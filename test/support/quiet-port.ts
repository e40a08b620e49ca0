/**
 * A port for a server under test, which nobody else takes until the server listens, nor while it is killed and started
 * again: it is below those that systems give to outgoing connections and to listeners that name none, and no two
 * processes of tests choose the same one.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { requireFreePort } from '../../infra/embedded/ports.ts';

const host = '127.0.0.1';
const lowest = 12_000;
const highest = 30_000;

export async function quietPort(): Promise<number> {
  for (;;) {
    const port = lowest + Math.floor(Math.random() * (highest - lowest));
    if ((await claim(port)) && (await isFree(port))) return port;
  }
}

/**
 * Whoever has the UDP port of the same number may use the TCP port: the system gives it to one process, and takes it back
 * when that process ends, however it ends.
 */
async function claim(port: number): Promise<boolean> {
  const claimed = createSocket('udp4').unref();
  try {
    claimed.bind({ address: host, port, exclusive: true });
    await once(claimed, 'listening');
    return true;
  } catch {
    claimed.close();
    return false;
  }
}

/** Programs that are no tests claim nothing. */
function isFree(port: number): Promise<boolean> {
  return requireFreePort(host, port, 'another one').then(
    () => true,
    () => false,
  );
}
