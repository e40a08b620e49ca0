/**
 * Ends what this process has started when it ends itself, also where nothing is disposed of: after an error, at Ctrl-C, or
 * when it is told to end. A broker has a process group of its own and would run on, and what runs beside the next
 * benchmark makes its figures wrong.
 */
import { constants } from 'node:os';

/** `exited` settles when the process has ended by itself. */
export function endWithUs(pid: number | undefined, exited: Promise<unknown>): void {
  if (pid === undefined) return;
  listen();
  alive.add(pid);
  const forget = () => alive.delete(pid);
  exited.then(forget, forget);
}

const alive = new Set<number>();
let isListening = false;

function listen(): void {
  if (isListening) return;
  isListening = true;
  process.once('exit', () => {
    for (const pid of alive) end(pid);
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => process.exit(128 + constants.signals[signal]));
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended a moment ago.
  }
}
