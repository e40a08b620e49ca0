/** Waits for what a process says, and not for ever when it ends without a word. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

export async function firstOutput(child: ChildProcess): Promise<string> {
  const closed = once(child, 'close').then(([code, signal]) => {
    throw new Error(`the process ended with ${code ?? signal} before it said anything`);
  });
  closed.catch(() => undefined);
  const [chunk] = await Promise.race([once(child.stdout!, 'data'), closed]);
  return `${chunk}`;
}
