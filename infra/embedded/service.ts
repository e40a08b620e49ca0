/**
 * Runs one of the pipeline's processes as a child. It is a process group of its own, so that Ctrl-C in a terminal
 * reaches only the supervisor, which ends the children in the right order. It has an IPC channel, and notices by its
 * end that the supervisor is gone, however that happened.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { compileCache } from '../compile-cache.ts';

/** A running child process. */
export interface Running {
  readonly pid: number;
  readonly exited: Promise<Exit>;
  /** Asks it to end, and ends it by force after `timeoutMs`. */
  stop(timeoutMs: number): Promise<void>;
  /** Sends to its `message` listener, if it has one. */
  readonly send?: (message: object) => void;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The reason that it gave, if it gave one. */
  readonly reason?: string;
}

export interface ServiceOptions {
  /** The program, a TypeScript file. */
  readonly program: string;
  readonly env: NodeJS.ProcessEnv;
  /** Is called with each line of its output. */
  readonly onLine: (line: string) => void;
}

export async function startService({ program, env, onLine }: ServiceOptions): Promise<Running> {
  // kafkajs' timers have had times in the past. The known one is corrected (infra/kafka/quiet-connections.ts).
  const flags = ['--disable-warning=TimeoutNegativeWarning'];
  const child = spawn(process.execPath, [...flags, program], {
    env: { NODE_COMPILE_CACHE: compileCache, ...env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let reason: string | undefined;
  const onOutput = (line: string) => {
    const said = reasonIn(line);
    if (said === undefined) onLine(line);
    else reason = said;
  };
  for (const stream of [child.stdout, child.stderr]) {
    if (stream) createInterface({ input: stream }).on('line', onOutput);
  }
  // 'close' comes after the last line, while 'exit' may come before it.
  const exited = new Promise<Exit>(resolve => {
    child.once('close', (code, signal) => resolve({ code, signal, ...(reason === undefined ? {} : { reason }) }));
  });
  await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject));
  // Its channel may close before its end is noticed.
  const send = (message: object) => void (child.connected && child.send(message, () => undefined));
  return { pid: child.pid ?? 0, exited, stop: timeoutMs => stopProcess(child, exited, timeoutMs), send };
}

export async function stopProcess(child: ChildProcess, exited: Promise<Exit>, timeoutMs: number): Promise<void> {
  child.kill('SIGTERM');
  const force = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  await exited;
  clearTimeout(force);
}

/**
 * A fatal line without a stack is a reason for the user. It is printed once, by the code that decides what follows from
 * it.
 */
function reasonIn(line: string): string | undefined {
  if (!line.startsWith('{"level":"fatal"')) return undefined;
  try {
    const { msg, err }: { msg?: unknown; err?: unknown } = JSON.parse(line);
    return err === undefined && typeof msg === 'string' ? msg : undefined;
  } catch {
    return undefined;
  }
}
