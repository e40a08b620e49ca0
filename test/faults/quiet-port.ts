/**
 * A free port below those that systems give to outgoing connections: a process that is killed again and again must find
 * its port free each time.
 */
import { answers } from '../../infra/embedded/ports.ts';

const taken = new Set<number>();

export async function quietPort(): Promise<number> {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 18_000);
    if (taken.has(port) || (await answers('127.0.0.1', port))) continue;
    taken.add(port);
    return port;
  }
}
